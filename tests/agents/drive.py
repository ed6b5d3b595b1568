"""Drives every tool of `devstack mcp` with the official client: two clients and the command line at once. Every input and
output schema is checked, and every result against its schema."""

import asyncio
import json
import subprocess
import sys

import jsonschema
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

PROGRAM = sys.argv[1]
SERVER = StdioServerParameters(command=PROGRAM, args=["mcp"], env=dict(__import__("os").environ))
sizes = {}


async def call(session, tools, name, arguments, fails=False):
    result = await session.call_tool(name, arguments)
    text = "".join(block.text for block in result.content)
    assert bool(result.is_error) == fails, (name, arguments, text)
    sizes[name] = max(sizes.get(name, 0), len(text))
    assert len(text) <= 4000, (name, len(text))
    if not fails:
        jsonschema.validate(arguments, tools[name].input_schema)
        jsonschema.validate(result.structured_content, tools[name].output_schema)
    return text, result.structured_content


async def one_of_each(session, tools):
    used = {
        "status": {}, "up": {}, "wait": {"services": ["api", "web"]}, "logs": {"services": ["api"]},
        "why": {"service": "api"}, "ports": {}, "check": {}, "plan": {}, "env": {"service": "api"},
        "restart": {"services": ["web"]}, "debug": {"services": ["api"]},
        "run_action": {"service": "api", "action": "hello"},
    }
    for name, arguments in used.items():
        text, data = await call(session, tools, name, arguments)
        if name == "run_action":
            assert data["succeeded"] and "hello from the action" in text, text
        if name == "status":
            assert data["running"]
    await call(session, tools, "debug", {"services": ["api"], "off": True})
    text, data = await call(session, tools, "run_action", {"service": "api", "action": "fails"})
    assert "exit code 3" in text and (data["succeeded"], data["exit_code"]) == (False, 3), (text, data)
    # What devstack itself says is found, too.
    text, _ = await call(session, tools, "logs", {"services": ["api"], "grep": "^starting"})
    assert "starting" in text, text
    # In tests, no front door serves names.
    text, _ = await call(session, tools, "requests", {}, fails=True)
    assert "no names" in text, text
    await call(session, tools, "ports", {"port": 9})
    await call(session, tools, "stop", {"services": ["web"]})
    await call(session, tools, "up", {"services": ["web"]})
    await call(session, tools, "why", {"service": "none"}, fails=True)
    return set(used) | {"stop", "requests"}


async def race(session, tools):
    for _ in range(5):
        await call(session, tools, "restart", {"services": ["web"]})
        await call(session, tools, "status", {})


def by_hand():
    for _ in range(5):
        subprocess.run([PROGRAM, "restart", "web"], check=True, capture_output=True)
        subprocess.run([PROGRAM, "ps"], check=True, capture_output=True)


async def main():
    async with stdio_client(SERVER) as first, stdio_client(SERVER) as second:
        async with ClientSession(*first) as one, ClientSession(*second) as two:
            await one.initialize()
            await two.initialize()
            listed = (await one.list_tools()).tools
            tools = {tool.name: tool for tool in listed}
            for tool in listed:
                jsonschema.Draft202012Validator.check_schema(tool.input_schema)
                jsonschema.Draft202012Validator.check_schema(tool.output_schema)
                assert tool.annotations.read_only_hint is not None, tool.name
            await call(one, tools, "up", {})
            assert await one_of_each(one, tools) == set(tools)
            await asyncio.gather(race(one, tools), race(two, tools), asyncio.to_thread(by_hand))
            await call(two, tools, "wait", {})
            resources = (await one.list_resources()).resources
            for resource in resources:
                contents = (await two.read_resource(resource.uri)).contents
                assert contents[0].text, resource.uri
            await call(two, tools, "stop", {"all": True})
            _, data = await call(one, tools, "status", {})
            assert not data["running"]
    print(json.dumps(sizes))


asyncio.run(main())
