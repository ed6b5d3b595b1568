use std::collections::BTreeSet;

use super::engine::{Engine, IMAGE, ok};
use crate::names::Names;
use crate::support::{TestProject, eventually, service};

pub fn a_container_reaches_a_program(engine: &Engine) {
    let project = TestProject::with_config(&format!(
        "[stack]\nname = 'inward'
            [services.app]\ncommand = ['{{misbehave}}', 'listen', '--http']\nport = 18260
            host = '0.0.0.0'\nready = {{ http = '/' }}
            [services.web]\nimage = '{IMAGE}'\ndepends_on = ['app']
            port = {{ prefer = 18261, inside = 8080 }}
            env = {{ APP = '${{app.host}} ${{app.port}}', HERE = '${{host.inside}}' }}"
    ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("inward is up");
    for address in ["$APP", "$HERE 18260"] {
        let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc {address}");
        let words = ["exec", "web", "--", "sh", "-c", &ask];
        let answer = ok(engine.devstack(&project, &words)).stdout;
        assert!(
            answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"),
            "{answer}"
        );
    }
    up.end();
    engine.assert_clean("inward");
    project.finish();
}

pub fn its_terminal_is_attached_to(engine: &Engine) {
    let project = TestProject::new();
    let script = "[ -t 0 ] && echo has a terminal; while read -r line; do echo got $$line; done";
    project.configure(&format!(
        "[stack]\nname = 'typed'
            [services.chat]\nimage = '{IMAGE}'\ntty = true\nentrypoint = ['sh', '-c']
            command = ['{script}']"
    ));
    let up = engine.devstack(&project, &["up"]).start();
    up.wait_for("chat | has a terminal");
    let client = engine.with(project.devstack(["attach", "chat"]).terminal(40, 120)).start();
    client.wait_for("[attached to chat; press Ctrl-] to detach]");
    client.write(b"hallo\r");
    client.wait_for("got hallo");
    up.wait_for("chat | got hallo");
    client.write(b"\x1d");
    assert_eq!(client.wait_code(), 0);
    assert_eq!(engine.containers("typed").len(), 1);
    up.end();
    engine.assert_clean("typed");
    project.finish();
}

pub fn replicas_answer_at_their_name(engine: &Engine) {
    let names = Names { home: TestProject::new(), port: 18279 };
    let project = TestProject::new();
    let script = "echo $DEVSTACK_SERVICE > /www/index.html; exec httpd -f -p 8080 -h /www";
    project.configure(&format!(
        "[stack]\nname = 'shared'
            [services.api]\nimage = '{IMAGE}'\nreplicas = 3\nready = {{ http = '/' }}
            port = {{ prefer = 18270, inside = 8080 }}\nentrypoint = ['sh', '-c']
            command = ['{script}']"
    ));
    let up = engine.with(names.devstack(&project, &["up"])).start();
    up.wait_for("shared is up");
    let mut seen = BTreeSet::new();
    eventually("all replicas to answer", || {
        let reply = names.ask("api.shared.localhost").ok()?;
        seen.insert(reply.body);
        (seen.len() == 3).then_some(())
    });
    let all = ["api-1\n", "api-2\n", "api-3\n"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(all));
    let ps = engine.with(names.devstack(&project, &["ps", "--json"])).run().expect_code(0).json();
    for replica in ["api-1", "api-2", "api-3"] {
        let about = service(&ps, replica);
        assert!(about["cpu_percent"].is_number() && about["memory_bytes"].is_u64(), "{about}");
    }
    up.end();
    engine.assert_clean("shared");
    names.finish([project]);
}
