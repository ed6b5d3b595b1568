//! A registry of images on loopback, which engines ask without TLS.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::engine::Engine;
use crate::support::TestProject;

/// Where it listens, in the network of an engine.
pub const REGISTRY: u16 = 18450;

/// What is asked of an image whose name begins with `status-` and a number is answered with that status;
/// of any other, it has the one image that it was given.
pub struct Registry {
    image: Option<ServedImage>,
    /// Whether layers are served.
    open: (Mutex<bool>, Condvar),
}

/// An image of one layer.
struct ServedImage {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
    digests: [String; 3],
}

impl Registry {
    /// Serves until the tests end. `image`: made from this directory.
    pub fn start(engine: &Engine, image: Option<&Path>) -> Arc<Registry> {
        engine.enter();
        let listener = TcpListener::bind(("127.0.0.1", REGISTRY)).expect("it is free");
        let open = (Mutex::new(false), Condvar::new());
        let registry = Arc::new(Registry { image: image.map(ServedImage::of), open });
        let shared = registry.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let registry = shared.clone();
                thread::spawn(move || registry.serve(client));
            }
        });
        registry
    }

    /// From now on, layers are served.
    pub fn open(&self) {
        *self.open.0.lock().expect("no test panics here") = true;
        self.open.1.notify_all();
    }

    fn serve(&self, mut client: TcpStream) {
        let mut reader = BufReader::new(client.try_clone().expect("a socket"));
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            let first = std::mem::take(&mut line);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            line.clear();
            let mut words = first.split(' ');
            let (method, path) = (words.next(), words.next().unwrap_or_default());
            let (status, kind, digest, body) = self.answer(path);
            let head = format!(
                "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nDocker-Content-Digest: {digest}\r\n\
                 Docker-Distribution-Api-Version: registry/2.0\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let body = if method == Some("HEAD") { &[] } else { &body[..] };
            if client.write_all(&[head.as_bytes(), body].concat()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str) -> (u16, &'static str, &str, Vec<u8>) {
        const JSON: &str = "application/json";
        let status = path.split('/').find_map(|part| part.strip_prefix("status-"));
        if let Some(status) = status {
            let code = match status {
                "401" => "UNAUTHORIZED",
                "403" => "DENIED",
                "404" => "MANIFEST_UNKNOWN",
                _ => "UNKNOWN",
            };
            let body = format!(r#"{{"errors":[{{"code":"{code}","message":"it says why"}}]}}"#);
            return (status.parse().expect("a number"), JSON, "", body.into_bytes());
        }
        let Some(image) = self.image.as_ref().filter(|_| path != "/v2/") else {
            return (200, JSON, "", b"{}".to_vec());
        };
        let [manifest, config, layer] = &image.digests;
        if path.contains("/manifests/") {
            return (200, MANIFEST, manifest, image.manifest.clone());
        }
        if path.ends_with(config.as_str()) {
            return (200, CONFIG, config, image.config.clone());
        }
        let closed = self.open.0.lock().expect("no test panics here");
        drop(self.open.1.wait_while(closed, |open| !*open).expect("no test panics here"));
        (200, LAYER, layer, image.layer.clone())
    }
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

impl ServedImage {
    fn of(root: &Path) -> ServedImage {
        let project = TestProject::new();
        let tar = project.path("layer.tar");
        let run = |program: &str, words: &[&str]| {
            let out =
                Command::new(program).args(words).current_dir(root).output().expect("it runs");
            assert!(out.status.success(), "{out:?}");
            String::from_utf8_lossy(&out.stdout).into_owned()
        };
        let digest = |name: &str| {
            let sum = run("sha256sum", &[&project.path(name).display().to_string()]);
            format!("sha256:{}", sum.split(' ').next().expect("a sum"))
        };
        run("tar", &["-cf", &tar.display().to_string(), "."]);
        let inside = digest("layer.tar");
        run("gzip", &[&tar.display().to_string()]);
        let layer = fs::read(project.path("layer.tar.gz")).expect("it was made");
        let layer_digest = digest("layer.tar.gz");
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = serde_json::json!({
            "architecture": arch, "os": "linux",
            "config": {
                "Env": ["PATH=/bin"], "Cmd": ["httpd", "-f", "-p", "8080", "-h", "/www"],
            },
            "rootfs": { "type": "layers", "diff_ids": [inside] },
        });
        let config = config.to_string();
        project.write("config", &config);
        let config_digest = digest("config");
        let part = |kind: &str, size: usize, digest: &str| serde_json::json!({ "mediaType": kind, "size": size, "digest": digest });
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": part(CONFIG, config.len(), &config_digest),
            "layers": [part(LAYER, layer.len(), &layer_digest)],
        });
        let manifest = manifest.to_string();
        project.write("manifest", &manifest);
        let digests = [digest("manifest"), config_digest, layer_digest];
        project.finish();
        let (manifest, config) = (manifest.into_bytes(), config.into_bytes());
        ServedImage { manifest, config, layer, digests }
    }
}
