//! Pages for people: HTML that works without script, and that a screen reader makes sense of.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How pages look: plain, at any size, light or dark.
const STYLE: &str = "\
body{font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:2em auto;padding:0 1em;color-scheme:light dark}\
label,input,button{display:block;font:inherit}\
input{width:100%;box-sizing:border-box;padding:.4em;margin:.2em 0 1em}\
button{display:inline-block;padding:.5em 1.2em;margin-right:1em}\
.error{border:2px solid #c00;padding:.5em 1em}\
code{overflow-wrap:anywhere}";

/// A text as it stands in HTML, also within quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A whole page. `target` is where its form may lead besides here, as a source of a policy.
pub(crate) fn page(status: StatusCode, title: &str, body: &str, target: Option<&str>) -> Response {
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    );
    let mut response =
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], Body::from(html)).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy(target)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // With `no-referrer` a browser would not say where a form comes from.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Nothing is loaded, nothing runs, nobody frames it; the form comes here, and from here goes to the client: browsers apply
/// `form-action` to where a form's answer sends them, too.
fn policy(target: Option<&str>) -> String {
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let target = target.map_or_else(String::new, |target| format!(" {target}"));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'{target}; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// The source of a policy that a redirect URI is of; only what may be registered gets here, which has no separators of a policy.
pub(crate) fn source(redirect_uri: &str) -> String {
    let (scheme, rest) = redirect_uri.split_once(':').unwrap_or((redirect_uri, ""));
    match (scheme, rest.strip_prefix("//")) {
        ("https" | "http", Some(rest)) => {
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            format!("{scheme}://{authority}")
        }
        _ => format!("{scheme}:"),
    }
}

/// A page that says why nothing can be done.
pub(crate) fn problem(status: StatusCode, why: &str) -> Response {
    let body = format!(
        "<h1>This does not work</h1>\n<p class=\"error\" role=\"alert\">{}</p>\n\
         <p>You have not been logged in, and nothing was allowed. Go back to where you came from and try \
         again; if it stays so, tell the people who make that application.</p>\n",
        escape(why)
    );
    page(status, "This does not work", &body, None)
}

/// What was wrong with what was put in, in front of all else: a screen reader says it first.
pub(crate) fn error_box(title: &str, error: Option<&str>) -> String {
    error.map_or_else(String::new, |error| {
        format!(
            "<div class=\"error\" role=\"alert\" id=\"error\">\n<h2>{}</h2>\n<p>{}</p>\n</div>\n",
            escape(title),
            escape(error)
        )
    })
}

/// Where a user says who it is. `wrong`: that was not good before.
pub(crate) fn login_fields(login: &str, wrong: bool) -> String {
    let described = if wrong { " aria-invalid=\"true\" aria-describedby=\"error\"" } else { "" };
    format!(
        "<label for=\"login\">Mail address</label>\n\
         <input id=\"login\" name=\"login\" type=\"text\" inputmode=\"email\" autocomplete=\"username\" \
         autocapitalize=\"none\" spellcheck=\"false\" value=\"{}\"{described}>\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\"{described}>\n",
        escape(login)
    )
}

/// Where a user types what a device shows that makes codes.
pub(crate) fn code_field(wrong: bool) -> String {
    let (described, by) = if wrong { (" aria-invalid=\"true\"", "hint error") } else { ("", "hint") };
    format!(
        "<label for=\"code\">Code</label>\n\
         <input id=\"code\" name=\"code\" type=\"text\" inputmode=\"numeric\" autocomplete=\"one-time-code\" \
         autocapitalize=\"none\" spellcheck=\"false\" aria-describedby=\"{by}\"{described}>\n\
         <p id=\"hint\">Six digits. If you have lost the device: one of the codes that you were given on paper.</p>\n"
    )
}

/// Asks for the code that a device shows.
pub(crate) fn code(status: StatusCode, error: Option<&str>) -> Response {
    let mut body = error_box("The device cannot go on", error);
    let described = if error.is_some() { " aria-invalid=\"true\" aria-describedby=\"error\"" } else { "" };
    let _ = write!(
        body,
        "<h1>Which code does your device show?</h1>\n<form method=\"get\" action=\"/device\">\n\
         <label for=\"user_code\">Code</label>\n\
         <input id=\"user_code\" name=\"user_code\" type=\"text\" autocomplete=\"off\" autocapitalize=\"characters\" \
         spellcheck=\"false\"{described}>\n<button type=\"submit\">Go on</button>\n</form>\n"
    );
    page(status, "Code of your device", &body, None)
}

/// Says that it is done.
pub(crate) fn done(title: &str, text: &str) -> Response {
    page(StatusCode::OK, title, &format!("<h1>{}</h1>\n<p>{}</p>\n", escape(title), escape(text)), None)
}

/// What the login page says.
pub(crate) struct Login<'a> {
    /// Where the form goes.
    pub(crate) action: &'a str,
    /// The client's name, as it says.
    pub(crate) client: &'a str,
    /// Where the client is, in words.
    pub(crate) target: &'a str,
    /// Where the form's answer may lead, as the source of a policy.
    pub(crate) source: Option<&'a str>,
    /// What is to be allowed, in words.
    pub(crate) scopes: Vec<&'a str>,
    /// Shows that the form comes from here.
    pub(crate) token: &'a str,
    /// What was put in before.
    pub(crate) login: &'a str,
    /// What was wrong with it.
    pub(crate) error: Option<&'a str>,
}

impl Login<'_> {
    /// The page.
    pub(crate) fn render(&self, status: StatusCode) -> Response {
        let client = escape(if self.client.is_empty() { "An application" } else { self.client });
        let mut body = error_box("You are not logged in", self.error);
        let _ = write!(
            body,
            "<h1>Allow {client} to use your account?</h1>\n\
             <p>{} It calls itself <strong>{client}</strong>; nobody has checked that. It wants to:</p>\n<ul>\n",
            escape(self.target)
        );
        for words in &self.scopes {
            let _ = writeln!(body, "<li>{}</li>", escape(words));
        }
        let _ = write!(
            body,
            "</ul>\n<form method=\"post\" action=\"{}\">\n\
             <input type=\"hidden\" name=\"token\" value=\"{}\">\n\
             {}\
             <button type=\"submit\" name=\"answer\" value=\"allow\">Log in and allow</button>\n\
             <button type=\"submit\" name=\"answer\" value=\"deny\">Do not allow</button>\n</form>\n\
             <p>You can take this back at any time on the page of <a href=\"{}\">your account</a>.</p>\n",
            escape(self.action),
            escape(self.token),
            login_fields(self.login, self.error.is_some()),
            crate::account::PAGE,
        );
        page(status, "Log in and allow", &body, self.source)
    }
}

/// What the page says that asks for the code of a second factor.
pub(crate) struct CodeAsked<'a> {
    /// Where the form goes.
    pub(crate) action: &'a str,
    /// The client's name, as it says.
    pub(crate) client: &'a str,
    /// Where the form's answer may lead, as the source of a policy.
    pub(crate) source: Option<&'a str>,
    /// Shows that the form comes from here.
    pub(crate) token: &'a str,
    /// Shows that the password was right.
    pub(crate) word: &'a str,
    /// What was wrong with the code before.
    pub(crate) error: Option<&'a str>,
}

impl CodeAsked<'_> {
    /// The page.
    pub(crate) fn render(&self, status: StatusCode) -> Response {
        let client = escape(if self.client.is_empty() { "An application" } else { self.client });
        let mut body = error_box("You are not logged in", self.error);
        let _ = write!(
            body,
            "<h1>Which code does your device show?</h1>\n\
             <p>With it you log in, and allow <strong>{client}</strong> to use your account.</p>\n\
             <form method=\"post\" action=\"{}\">\n\
             <input type=\"hidden\" name=\"token\" value=\"{}\">\n\
             <input type=\"hidden\" name=\"word\" value=\"{}\">\n\
             {}\
             <button type=\"submit\" name=\"answer\" value=\"allow\">Log in and allow</button>\n\
             <button type=\"submit\" name=\"answer\" value=\"deny\">Do not allow</button>\n</form>\n",
            escape(self.action),
            escape(self.token),
            escape(self.word),
            code_field(self.error.is_some()),
        );
        page(status, "Code of your device", &body, self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text() {
        assert_eq!(escape("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
        for (uri, expected) in [
            ("https://app.example:8443/back?x", "https://app.example:8443"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000/x", "http://[::1]:3000"),
            ("com.example.app:/back", "com.example.app:"),
            ("com.example.app://back", "com.example.app:"),
        ] {
            assert_eq!(source(uri), expected);
        }
    }
}
