//! An environment without the values that look like secrets.

use serde_json::{Value, json};

use crate::model::EnvView;

/// Words that names of secrets are made of.
const WORDS: [&str; 16] = [
    "AUTH", "COOKIE", "CRED", "CREDENTIALS", "CREDS", "DSN", "KEY", "KEYS", "PASS", "PASSPHRASE",
    "PAT", "PRIVATE", "PW", "PWD", "SALT", "SESSION",
];

/// Parts of such words.
const PARTS: [&str; 6] = ["APIKEY", "CREDENTIAL", "PASSWD", "PASSWORD", "SECRET", "TOKEN"];

/// Directories.
const DIRECTORIES: [&str; 2] = ["PWD", "OLDPWD"];

/// Returns an environment as JSON. Values that look like secrets are left out, except that of the
/// variable `revealed`; `"hidden": true` is there instead.
pub(super) fn hidden_env(view: &EnvView, revealed: Option<&str>) -> Value {
    let mut value = serde_json::to_value(view).expect("environments serialize to JSON");
    let variables = value.get_mut("variables").and_then(Value::as_array_mut);
    for variable in variables.into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default().to_owned();
        if revealed == Some(&name) {
            variable["secret"] = json!(true);
            continue;
        }
        let secret = is_secret_name(&name);
        hide(variable, secret);
        for shadowed in
            variable.get_mut("hides").and_then(Value::as_array_mut).into_iter().flatten()
        {
            hide(shadowed, secret);
        }
    }
    value
}

fn hide(value: &mut Value, secret: bool) {
    let Some(fields) = value.as_object_mut() else { return };
    let text = fields.get("value").and_then(Value::as_str).unwrap_or_default();
    if secret || has_password(text) {
        let had = fields.remove("value").is_some() | fields.remove("value_base64").is_some();
        if had {
            fields.insert("hidden".to_owned(), json!(true));
        }
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let word = |word: &str| WORDS.contains(&word) || PARTS.iter().any(|part| word.contains(part));
    !DIRECTORIES.contains(&&*name) && name.split(|c: char| !c.is_ascii_alphanumeric()).any(word)
}

/// Whether it is a URL with a user and a password, or the text of a private key.
fn has_password(value: &str) -> bool {
    let url = value.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| {
            user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
        })
    });
    url || value.contains("PRIVATE KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known() {
        for name in [
            "PASSWORD",
            "db_password",
            "PGPASSWORD",
            "API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "SMTP_PASS",
            "APP_KEY",
            "DJANGO_SECRET",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "PWD", "PORT", "KEYBOARD", "HOST", "MONKEY", "COMPASS", "DATABASE_URL"]
        {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn urls_with_passwords_are_known() {
        assert!(has_password("postgres://me:pw@localhost:5432/shop"));
        assert!(has_password("redis://:pw@localhost"));
        for plain in ["postgres://me@localhost/shop", "http://localhost:80/a:b@c", "me:pw@host", ""]
        {
            assert!(!has_password(plain), "{plain}");
        }
    }

    #[test]
    fn values_are_left_out_unless_revealed() {
        let view: EnvView = serde_json::from_value(json!({
            "version": 1, "stack": "shop", "service": "api", "run": null, "mode": "run", "dir": "/",
            "variables": [
                { "name": "API_KEY", "value": "k1", "source": "inherited", "hides": [{ "value": "k2", "source": "inherited" }] },
                { "name": "PORT", "value": "5000", "source": "devstack", "hides": [{ "value": "http://a:k3@b", "source": "inherited" }] },
            ],
        }))
        .unwrap();
        let hidden = hidden_env(&view, Some("PORT")).to_string();
        assert!(!hidden.contains("k1") && !hidden.contains("k2"), "{hidden}");
        let hidden = hidden_env(&view, None);
        assert_eq!(hidden["variables"][0]["hidden"], true);
        assert_eq!(hidden["variables"][1]["value"], "5000");
        assert!(!hidden.to_string().contains("k3"), "{hidden}");
        let shown = hidden_env(&view, Some("API_KEY"));
        assert_eq!(shown["variables"][0]["value"], "k1");
    }
}
