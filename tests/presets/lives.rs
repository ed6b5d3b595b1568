//! The table: a tiny project for each preset, and what its life shows.

use std::collections::BTreeSet;

use super::life::{Ask, Edit, Kit, PresetLife, Reload};
use crate::support::TestProject;

/// Presets whose programs take minutes to install or are in no package system; see tests/presets/setup.sh.
const TRIED_BY_HAND: [&str; 4] = ["mailpit", "minio", "mysql", "spring-boot"];

const MODULES: Kit = Kit::Node("target/presets/node_modules");
const VITE: Kit = Kit::Node("examples/flask-shop/web/node_modules");
const PYTHON_MISTAKE: Option<(&str, &str)> = Some(("def broken(:\n", "SyntaxError: "));
const NODE_MISTAKE: Option<(&str, &str)> = Some(("const broken = (\n", "SyntaxError: "));

/// Makes a test of each entry, and the list of their presets.
macro_rules! lives {
    ($($(#[$attribute:meta])* $test:ident: $preset:literal { $($life:tt)* })*) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $test() {
                PresetLife { preset: $preset, $($life)* }.live();
            }
        )*
        const LIVES: &[&str] = &[$($preset),*];
    };
}

#[test]
fn every_preset_has_a_life() {
    let project = TestProject::new();
    let all = project.devstack(["presets", "--json"]).run().expect_code(0).json();
    let all = all["presets"].as_array().expect("a list").iter();
    let all: BTreeSet<&str> =
        all.map(|preset| preset["name"].as_str().expect("it has one")).collect();
    assert_eq!(all, LIVES.iter().copied().chain(TRIED_BY_HAND).collect());
    project.finish();
}

lives! {
    flask: "flask" {
        kit: Kit::Python,
        files: &[("app.py", "from flask import Flask

app = Flask(__name__)

@app.get('/')
def index():
    return 'first'
")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit { file: "app.py", reload: Reload::Restart, mistake: PYTHON_MISTAKE }),
    }

    django: "django" {
        kit: Kit::Python,
        files: &[
            ("manage.py", "import sys
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(DEBUG=True, ROOT_URLCONF='urls', SECRET_KEY='none')
execute_from_command_line(sys.argv)
"),
            ("urls.py", "from django.http import HttpResponse
from django.urls import path

urlpatterns = [path('', lambda request: HttpResponse('first'))]
"),
        ],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit { file: "urls.py", reload: Reload::Restart, mistake: PYTHON_MISTAKE }),
    }

    fastapi: "fastapi" {
        kit: Kit::Python,
        files: &[("main.py", "from fastapi import FastAPI

app = FastAPI()

@app.get('/')
def index():
    return 'first'
")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit { file: "main.py", reload: Reload::Restart, mistake: PYTHON_MISTAKE }),
    }

    uvicorn: "uvicorn" {
        kit: Kit::Python,
        files: &[("main.py", "async def app(scope, receive, send):
    if scope['type'] == 'http':
        await send({'type': 'http.response.start', 'status': 200})
        await send({'type': 'http.response.body', 'body': b'first'})
")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit { file: "main.py", reload: Reload::Restart, mistake: PYTHON_MISTAKE }),
    }

    gunicorn: "gunicorn" {
        kit: Kit::Python,
        files: &[("app.py", "def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'first']
")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit { file: "app.py", reload: Reload::Restart, mistake: PYTHON_MISTAKE }),
    }

    celery: "celery" {
        kit: Kit::Python,
        files: &[("tasks.py", "from celery import Celery

app = Celery()

@app.task
def word():
    return 'first'
")],
        stack: "depends_on = ['broker']
env = { CELERY_BROKER_URL = '${broker.url}', CELERY_RESULT_BACKEND = '${broker.url}' }

[services.broker]
preset = 'redis'
port = 'auto'
",
        ask: Ask::CeleryTask,
        edit: Some(Edit { file: "tasks.py", reload: Reload::Restart, mistake: PYTHON_MISTAKE }),
    }

    vite: "vite" {
        kit: VITE,
        files: &[
            ("index.html", "<script type=\"module\" src=\"/main.ts\"></script>\n"),
            ("main.ts", "console.log('first')\n"),
        ],
        stack: "",
        ask: Ask::Page("/main.ts"),
        edit: Some(Edit {
            file: "main.ts",
            reload: Reload::Request,
            mistake: Some(("const broken = (\n", "ERROR: Unexpected end of file")),
        }),
    }

    next: "next" {
        kit: MODULES,
        files: &[("pages/index.js", "export default () => <p>first</p>\n")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit {
            file: "pages/index.js",
            reload: Reload::Itself,
            mistake: Some(("export default () => <p>\n", "Unexpected eof")),
        }),
    }

    node: "node" {
        kit: MODULES,
        files: &[("index.js", "const http = require('http')
http.createServer((_, reply) => reply.end('first')).listen(process.env.PORT, process.env.HOST)
")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit { file: "index.js", reload: Reload::Restart, mistake: NODE_MISTAKE }),
    }

    express: "express" {
        kit: MODULES,
        files: &[("bin/www", "const app = require('express')()
app.get('/', (_, reply) => reply.send('first'))
app.listen(process.env.PORT, process.env.HOST)
")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit { file: "bin/www", reload: Reload::Restart, mistake: NODE_MISTAKE }),
    }

    cargo: "cargo" {
        kit: Kit::Program("cargo"),
        files: &[
            ("Cargo.toml", "[package]\nname = \"app\"\nedition = \"2021\"\n"),
            ("src/main.rs", "use std::io::{Read, Write};

fn main() {
    let port: u16 = std::env::var(\"PORT\").unwrap().parse().unwrap();
    for socket in std::net::TcpListener::bind((\"127.0.0.1\", port)).unwrap().incoming() {
        let mut socket = socket.unwrap();
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(b\"HTTP/1.1 200 OK\\r\\n\\r\\nfirst\");
    }
}
"),
        ],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit {
            file: "src/main.rs",
            reload: Reload::Build,
            mistake: Some(("fn main() {\n", "error: this file contains")),
        }),
    }

    go: "go" {
        kit: Kit::Program("go"),
        files: &[
            ("go.mod", "module app\n"),
            ("main.go", "package main

import (
	\"net\"
	\"os\"
)

func main() {
	listener, err := net.Listen(\"tcp\", net.JoinHostPort(os.Getenv(\"HOST\"), os.Getenv(\"PORT\")))
	for err == nil {
		var socket net.Conn
		if socket, err = listener.Accept(); err == nil {
			socket.Read(make([]byte, 1024))
			socket.Write([]byte(\"HTTP/1.1 200 OK\\r\\n\\r\\nfirst\"))
			socket.Close()
		}
	}
}
"),
        ],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit {
            file: "main.go",
            reload: Reload::Build,
            mistake: Some(("package main\n\nfunc main() {\n", "syntax error: ")),
        }),
    }

    #[cfg_attr(target_os = "macos", ignore = "Homebrew has no Rails")]
    rails: "rails" {
        kit: Kit::Program("rails"),
        files: &[
            ("bin/rails", "#!/usr/bin/env ruby
APP_PATH = File.expand_path('../config/application', __dir__)
require 'rails/commands'
"),
            ("config/application.rb", "require 'action_controller/railtie'

class App < Rails::Application
  config.eager_load = false
  config.secret_key_base = 'none'
  config.logger = Logger.new($stdout)
  routes.append { root 'words#show' }
end
"),
            ("config.ru", "require_relative 'config/application'
Rails.application.initialize!
run Rails.application
"),
            ("app/controllers/words_controller.rb", "class WordsController < ActionController::Base
  def show
    render plain: 'first'
  end
end
"),
        ],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit {
            file: "app/controllers/words_controller.rb",
            reload: Reload::Request,
            mistake: Some(("class WordsController <\n", "SyntaxError (")),
        }),
    }

    php: "php" {
        kit: Kit::Program("php"),
        files: &[("index.php", "<?php echo 'first';\n")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit {
            file: "index.php",
            reload: Reload::Request,
            mistake: Some(("<?php echo (;\n", "PHP Parse error: ")),
        }),
    }

    static_files: "static" {
        kit: Kit::Program("python3"),
        files: &[("index.html", "first")],
        stack: "",
        ask: Ask::Page("/"),
        edit: Some(Edit { file: "index.html", reload: Reload::Request, mistake: None }),
    }

    nginx: "nginx" {
        kit: Kit::Program("nginx"),
        files: &[
            ("pages/first.txt", "first"),
            ("pages/second.txt", "second"),
            ("pages/third.txt", "third"),
            ("nginx.conf", "pid nginx.pid;
events {}
http {
    client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server {
        listen ${HOST}:${PORT};
        location = / { proxy_pass ${DEVSTACK_API_URL}/first.txt; }
    }
}
"),
        ],
        stack: "depends_on = ['api']
[services.api]
preset = 'static'
port = 'auto'
dir = 'pages'
",
        ask: Ask::Page("/"),
        edit: Some(Edit {
            file: "nginx.conf",
            reload: Reload::Restart,
            mistake: Some(("events {\n", "[emerg]")),
        }),
    }

    apache: "apache" {
        kit: Kit::Program("apachectl"),
        files: &[
            ("pages/first.txt", "first"),
            ("pages/second.txt", "second"),
            ("pages/third.txt", "third"),
            ("httpd.conf", "Listen ${HOST}:${PORT}
LoadModule mpm_event_module ${APACHE_MODULES}/mod_mpm_event.so
LoadModule authz_core_module ${APACHE_MODULES}/mod_authz_core.so
LoadModule proxy_module ${APACHE_MODULES}/mod_proxy.so
LoadModule proxy_http_module ${APACHE_MODULES}/mod_proxy_http.so
ProxyPass / ${DEVSTACK_API_URL}/first.txt
"),
        ],
        stack: "depends_on = ['api']
[services.api]
preset = 'static'
port = 'auto'
dir = 'pages'
",
        ask: Ask::Page("/"),
        edit: Some(Edit {
            file: "httpd.conf",
            reload: Reload::Restart,
            mistake: Some((
                "LoadModule mpm_event_module ${APACHE_MODULES}/mod_mpm_event.so\nBroken\n",
                "Invalid command 'Broken'",
            )),
        }),
    }

    redis: "redis" {
        kit: Kit::Program("redis-server"),
        files: &[],
        stack: "",
        ask: Ask::Bytes(b"PING\r\n", "+PONG\r\n"),
        edit: None,
    }

    valkey: "valkey" {
        kit: Kit::Program("valkey-server"),
        files: &[],
        stack: "",
        ask: Ask::Bytes(b"INFO server\r\n", "valkey_version:"),
        edit: None,
    }

    memcached: "memcached" {
        kit: Kit::Program("memcached"),
        files: &[],
        stack: "",
        ask: Ask::Bytes(b"version\r\n", "VERSION "),
        edit: None,
    }

    nats: "nats" {
        kit: Kit::Program("nats-server"),
        files: &[],
        stack: "",
        ask: Ask::Bytes(b"CONNECT {}\r\nPING\r\n", "PONG\r\n"),
        edit: None,
    }

    // It answers the header of AMQP 0-9-1 with its name.
    rabbitmq: "rabbitmq" {
        kit: Kit::Program("rabbitmq-server"),
        files: &[],
        stack: "",
        ask: Ask::Bytes(b"AMQP\x00\x00\x09\x01", "RabbitMQ"),
        edit: None,
    }

    // It speaks first.
    mariadb: "mariadb" {
        kit: Kit::Program("mariadbd"),
        files: &[],
        stack: "",
        ask: Ask::Bytes(b"", "MariaDB"),
        edit: None,
    }

    // A start of the session; the answer names the version.
    postgres: "postgres" {
        kit: Kit::Postgres,
        files: &[],
        stack: "env = { DEVSTACK_DATA = '${stack.dir}/../tmp/data/pg' }\n",
        ask: Ask::Bytes(b"\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00", "server_version"),
        edit: None,
    }
}
