//! What tests show.

use crate::model::Snapshot;

/// Returns a stack with this many services: `api`, `web`, `db`, `worker` and others.
pub fn stack(services: usize) -> Snapshot {
    let names = ["api", "web", "db", "worker"];
    let phases = ["ready", "starting", "failed", "backoff"];
    let services: Vec<serde_json::Value> = (0..services)
        .map(|at| {
            let name = names.get(at).map_or_else(|| format!("service-{at}"), |name| (*name).to_owned());
            serde_json::json!({
                "name": name, "kind": "service", "phase": phases[at % 4], "since": "2026-11-20T09:00:00.120Z",
                "cause": "GET /health returned 200", "pid": 4121 + at, "run": 3, "restarts": 2,
                "port": 5000 + at, "wanted_port": 5000, "pinned": false, "ports": {"main": 5000 + at},
                "host": "127.0.0.1", "url": format!("http://127.0.0.1:{}", 5000 + at), "exit": null,
                "waiting_on": [], "cpu_percent": 0.3 * at as f64, "memory_bytes": 41_000_000 + 1_000_000 * at,
                "ready_after_ms": 412, "message": null,
                "actions": if at == 0 { serde_json::json!([{"name": "seed", "help": "Fill the database", "args": ["count"]}, {"name": "reset", "help": null, "args": []}]) } else { serde_json::json!([]) },
            })
        })
        .collect();
    let stack = serde_json::json!({
        "version": 1, "stack": "shop", "dir": "/home/me/shop", "mode": "run", "supervisor_pid": 4100,
        "primary": "api", "state": "up", "event": 57, "networks": [], "services": services,
    });
    serde_json::from_value(stack).expect("a snapshot as the control socket has it")
}
