//! How well-known servers are told where to listen, known by their command. A table, no more.

use crate::model::Command;

/// What to change in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    /// So that it takes the port, as `pass --port $PORT`.
    pub port: String,
    /// So that it takes the address; `None`: it has no way to be told, or none is known.
    pub host: Option<String>,
    /// The variable that it takes its port from.
    pub variable: Option<&'static str>,
}

/// A server: its program, a word that must follow (empty: none), what to pass for port and host (empty: nothing is
/// known), and its variable for the port (empty: none).
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const ROWS: [Row; 48] = [
    // Python
    ("flask", "run", "--port $PORT", "--host $HOST", "FLASK_RUN_PORT"),
    ("uvicorn", "", "--port $PORT", "--host $HOST", "UVICORN_PORT"),
    ("fastapi", "", "--port $PORT", "--host $HOST", ""),
    ("hypercorn", "", "--bind $HOST:$PORT", "--bind $HOST:$PORT", ""),
    ("gunicorn", "", "--bind $HOST:$PORT", "--bind $HOST:$PORT", ""),
    ("granian", "", "--port $PORT", "--host $HOST", "GRANIAN_PORT"),
    ("daphne", "", "-p $PORT", "-b $HOST", ""),
    ("waitress-serve", "", "--port $PORT", "--host $HOST", ""),
    ("manage.py", "runserver", "$HOST:$PORT after runserver", "$HOST:$PORT after runserver", ""),
    ("django-admin", "runserver", "$HOST:$PORT after runserver", "$HOST:$PORT after runserver", ""),
    ("http.server", "", "$PORT after http.server", "--bind $HOST", ""),
    ("streamlit", "run", "--server.port $PORT", "--server.address $HOST", "STREAMLIT_SERVER_PORT"),
    ("jupyter", "", "--port $PORT", "--ip $HOST", "JUPYTER_PORT"),
    ("mkdocs", "serve", "--dev-addr $HOST:$PORT", "--dev-addr $HOST:$PORT", ""),
    // JavaScript
    ("vite", "", "--port $PORT", "--host $HOST", ""),
    ("next", "", "--port $PORT", "--hostname $HOST", "PORT"),
    ("nuxt", "", "--port $PORT", "--host $HOST", "NUXT_PORT"),
    ("nuxi", "", "--port $PORT", "--host $HOST", "NUXT_PORT"),
    ("astro", "", "--port $PORT", "--host $HOST", ""),
    ("ng", "serve", "--port $PORT", "--host $HOST", ""),
    ("webpack", "", "--port $PORT", "--host $HOST", ""),
    ("webpack-dev-server", "", "--port $PORT", "--host $HOST", ""),
    ("vue-cli-service", "serve", "--port $PORT", "--host $HOST", "PORT"),
    ("react-scripts", "start", "", "", "PORT"),
    ("gatsby", "develop", "--port $PORT", "--host $HOST", "PORT"),
    ("parcel", "", "--port $PORT", "--host $HOST", "PORT"),
    ("storybook", "dev", "--port $PORT", "--host $HOST", ""),
    ("expo", "start", "--port $PORT", "", ""),
    ("docusaurus", "start", "--port $PORT", "--host $HOST", ""),
    ("eleventy", "", "--port $PORT", "", ""),
    ("wrangler", "dev", "--port $PORT", "--ip $HOST", ""),
    ("http-server", "", "-p $PORT", "-a $HOST", "PORT"),
    ("serve", "", "-l tcp://$HOST:$PORT", "-l tcp://$HOST:$PORT", "PORT"),
    ("live-server", "", "--port=$PORT", "--host=$HOST", "PORT"),
    ("json-server", "", "--port $PORT", "--host $HOST", ""),
    // Ruby
    ("rails", "server", "-p $PORT", "-b $HOST", "PORT"),
    ("rails", "s", "-p $PORT", "-b $HOST", "PORT"),
    ("puma", "", "-b tcp://$HOST:$PORT", "-b tcp://$HOST:$PORT", "PORT"),
    ("rackup", "", "-p $PORT", "-o $HOST", ""),
    ("jekyll", "serve", "--port $PORT", "--host $HOST", ""),
    // PHP
    ("php", "-S", "$HOST:$PORT after -S", "$HOST:$PORT after -S", ""),
    ("artisan", "serve", "--port=$PORT", "--host=$HOST", "SERVER_PORT"),
    // Others
    ("hugo", "server", "--port $PORT", "--bind $HOST", ""),
    ("zola", "serve", "--port $PORT", "--interface $HOST", ""),
    ("trunk", "serve", "--port $PORT", "--address $HOST", "TRUNK_SERVE_PORT"),
    ("mvn", "spring-boot:run", "", "", "SERVER_PORT"),
    ("gradlew", "bootRun", "", "", "SERVER_PORT"),
    ("dotnet", "run", "--urls http://$HOST:$PORT", "--urls http://$HOST:$PORT", ""),
];

/// Programs that run the rest of the line, with the words that belong to them.
const WRAPPERS: [(&str, &str); 18] = [
    ("exec", ""),
    ("env", ""),
    ("nice", ""),
    ("time", ""),
    ("npx", ""),
    ("bunx", ""),
    ("pnpm", "exec"),
    ("pnpm", "dlx"),
    ("yarn", "exec"),
    ("uv", "run"),
    ("poetry", "run"),
    ("pipenv", "run"),
    ("pdm", "run"),
    ("hatch", "run"),
    ("bundle", "exec"),
    ("node", ""),
    ("coverage", "run"),
    ("watchmedo", "auto-restart"),
];

/// What to change in `command`; `None`: it is none of the known ones. Of several commands in one line the last known
/// one counts.
pub(super) fn advice(command: &Command) -> Option<Advice> {
    let words = match command {
        Command::Exec(words) => words.clone(),
        Command::Shell(text) => shell_words::split(text).ok()?,
    };
    let simple = words.split(|word| matches!(word.as_str(), "&&" | "||" | ";" | "|" | "&"));
    simple.filter_map(of_simple).next_back()
}

fn of_simple(words: &[String]) -> Option<Advice> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut rest = words.as_slice();
    loop {
        let (&first, more) = rest.split_first()?;
        let program = first.rsplit('/').next().unwrap_or(first);
        if let Some(advice) = of_script(program, more, &words) {
            return Some(advice);
        }
        let follows = |word: &str| word.is_empty() || more.contains(&word);
        if let Some(row) = ROWS.iter().find(|row| row.0 == program && follows(row.1)) {
            return Some(of_row(row));
        }
        let is_wrapper = |wrapper: &&(&str, &str)| {
            wrapper.0 == program && (wrapper.1.is_empty() || more.first() == Some(&wrapper.1))
        };
        rest = match WRAPPERS.iter().find(is_wrapper) {
            Some((_, "")) => more,
            Some(_) => &more[1..],
            None if first.starts_with('-') || first.contains('=') => more,
            None if is_python(program) => more,
            // `php artisan serve`
            None if program == "php" => more,
            None => return None,
        };
    }
}

/// A script of `package.json`, whose command is not seen from here.
fn of_script(program: &str, more: &[&str], words: &[&str]) -> Option<Advice> {
    let runs = match (program, more.first()) {
        ("npm", Some(&"run" | &"start" | &"run-script")) => true,
        ("pnpm" | "yarn" | "bun", Some(&"run" | &"start" | &"dev")) => true,
        (_, _) => false,
    };
    // Only npm keeps options to itself.
    let gap = if program == "npm" && !more.contains(&"--") { " --" } else { "" };
    let with = |option: &str| format!("write it as `{}{gap} {option}`", words.join(" "));
    runs.then(|| Advice {
        port: with("--port $PORT"),
        host: Some(with("--host $HOST")),
        variable: None,
    })
}

fn of_row(&(_, _, port, host, variable): &Row) -> Advice {
    let port = match port {
        "" => format!("set env = {{ {variable} = \"$PORT\" }}"),
        port => format!("pass {port}"),
    };
    // A variable of that very name is there already, and did not help.
    let variable = Some(variable).filter(|name| !name.is_empty() && *name != "PORT");
    Advice { port, host: (!host.is_empty()).then(|| format!("pass {host}")), variable }
}

fn is_python(program: &str) -> bool {
    let version = program.strip_prefix("python");
    version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> Option<String> {
        advice(&Command::Shell(text.to_owned())).map(|advice| advice.port)
    }

    #[test]
    fn servers_are_known_by_their_commands() {
        for (command, expected) in [
            ("flask run", "pass --port $PORT"),
            ("flask --app shop run --debug", "pass --port $PORT"),
            ("python -m flask run", "pass --port $PORT"),
            ("python3.12 -u -m uvicorn app:app", "pass --port $PORT"),
            ("uv run uvicorn app:app --reload", "pass --port $PORT"),
            ("cd api && FLASK_APP=x exec flask run", "pass --port $PORT"),
            ("/srv/venv/bin/hypercorn app", "pass --bind $HOST:$PORT"),
            ("gunicorn app:app -w 4", "pass --bind $HOST:$PORT"),
            ("python manage.py runserver", "pass $HOST:$PORT after runserver"),
            ("./manage.py runserver", "pass $HOST:$PORT after runserver"),
            ("python3 -m http.server", "pass $PORT after http.server"),
            ("npx vite", "pass --port $PORT"),
            ("node node_modules/.bin/vite", "pass --port $PORT"),
            ("pnpm exec next dev", "pass --port $PORT"),
            ("webpack serve", "pass --port $PORT"),
            ("bundle exec rails server", "pass -p $PORT"),
            ("bin/rails s", "pass -p $PORT"),
            ("php -S localhost:8000", "pass $HOST:$PORT after -S"),
            ("php artisan serve", "pass --port=$PORT"),
            ("./gradlew bootRun", "set env = { SERVER_PORT = \"$PORT\" }"),
            ("npm run dev", "write it as `npm run dev -- --port $PORT`"),
            ("npm run dev -- --open", "write it as `npm run dev -- --open --port $PORT`"),
            ("pnpm run dev", "write it as `pnpm run dev --port $PORT`"),
            ("yarn dev", "write it as `yarn dev --port $PORT`"),
        ] {
            assert_eq!(port(command).as_deref(), Some(expected), "{command}");
        }
        let words = ["python", "-m", "flask", "run"].map(str::to_owned);
        let flask = advice(&Command::Exec(words.into())).unwrap();
        assert_eq!(flask.host.as_deref(), Some("pass --host $HOST"));
        assert_eq!(flask.variable, Some("FLASK_RUN_PORT"));
    }

    #[test]
    fn others_are_not_guessed() {
        for command in [
            "",
            "python app.py",
            "./server --port 1",
            "flask db upgrade",
            "npm install",
            "echo flask run",
            "vite && ./other 'open",
            "rails console",
            "env A=1",
        ] {
            assert_eq!(port(command), None, "{command}");
        }
    }
}
