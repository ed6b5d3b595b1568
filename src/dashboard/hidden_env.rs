//! An environment without the values that look like secrets.

use serde_json::{Value, json};

use crate::model::EnvView;

/// Words that names of secrets are made of.
const WORDS: [&str; 18] = [
    "AUTH", "BEARER", "COOKIE", "CRED", "CREDENTIALS", "CREDS", "DSN", "JWT", "KEY", "KEYS",
    "PASS", "PASSPHRASE", "PAT", "PRIVATE", "PW", "PWD", "SALT", "SESSION",
];

/// Parts of such words.
const PARTS: [&str; 9] = [
    "ACCESSKEY", "APIKEY", "CREDENTIAL", "ENCRYPTIONKEY", "PASSWD", "PASSWORD", "PRIVATEKEY",
    "SECRET", "TOKEN",
];

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
    let word = |word: &str| {
        let word = word.to_ascii_uppercase();
        WORDS.contains(&&*word) || PARTS.iter().any(|part| word.contains(part))
    };
    !DIRECTORIES.contains(&name) && words(name).any(|one| word(&one))
}

/// Returns the words of a name such as `DB_PASS` or `dbPass`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    let mut was_small = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (was_small && c.is_ascii_uppercase()) {
            spaced.push(' ');
        }
        if c.is_ascii_alphanumeric() {
            spaced.push(c);
        }
        was_small = c.is_ascii_lowercase();
    }
    let words: Vec<String> = spaced.split(' ').map(str::to_owned).collect();
    words.into_iter()
}

/// Whether there is a URL with a user and a password in it, a setting such as `password=…`, or the
/// text of a private key.
fn has_password(value: &str) -> bool {
    let is_end = |c: char| c.is_whitespace() || c == ',';
    let mut urls = value.split("://").skip(1).filter_map(|rest| rest.split(is_end).next());
    let mut settings = value.split(|c: char| is_end(c) || matches!(c, '?' | '&' | ';'));
    let is_secret_setting = |setting: &str| {
        let setting = setting.split_once('=');
        setting.is_some_and(|(name, value)| !value.is_empty() && is_secret_name(name))
    };
    urls.any(has_user_password)
        || settings.any(is_secret_setting)
        || value.contains("PRIVATE KEY-----")
}

/// Whether what follows `://` begins with a user and a password, which some do not encode.
fn has_user_password(rest: &str) -> bool {
    let Some((_, rest)) = rest.split_once(':').filter(|(user, _)| !user.contains(['/', '@']))
    else {
        return false;
    };
    let Some((password, _)) = rest.split_once('@').filter(|(password, _)| !password.is_empty())
    else {
        return false;
    };
    // A port, and a path with an `@`.
    let port = password.split_once(['/', '?', '#']).map(|(port, _)| port);
    !port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
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
            "dbPass",
            "apiKey",
            "MYPRIVATEKEY",
            "JWT",
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
        assert!(has_password("http://a:1,http://me:pw@b"));
        assert!(has_password("postgres://me:p/w@localhost/shop"));
        assert!(has_password("postgres://me:p#w@localhost/shop"));
        assert!(has_password("jdbc:postgresql://db/shop?user=me&password=pw"));
        assert!(has_password("Server=db;User Id=me;Password=pw;"));
        assert!(has_password("host=db user=me password='pw'"));
        assert!(has_password("serve --api-key=k1"));
        for plain in [
            "postgres://me@localhost/shop",
            "http://localhost:80/a:b@c",
            "me:pw@host",
            "",
            "http://a/?q=1&sort=name",
            "password=",
            "http://a/b:c@d",
        ] {
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
