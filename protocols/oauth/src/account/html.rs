//! How the page of one's own account is written.

use std::fmt::Write;

use accounts::oauth::Allowed;
use accounts::{Application, Enrolled, SecondState, Secret};
use axum::http::StatusCode;
use axum::response::Response;
use qrcode::{Color, EcLevel, QrCode};

use super::PAGE;
use super::told::Told;
use crate::page::{code_field, error_box, escape, login_fields, page};
use crate::scopes;

/// In milliseconds.
const DAY: i64 = 86_400_000;

/// Light modules around a QR code (ISO/IEC 18004 §6.3.8).
const QUIET: usize = 4;

/// A form of the page. `token` shows that it comes from here.
fn form(token: &str, inside: &str) -> String {
    let token = hidden("token", token);
    format!("<form method=\"post\" action=\"{PAGE}\">\n{token}{inside}</form>\n")
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escape(value))
}

/// A form in which there is nothing to fill in. `label`: what a screen reader says, where the button alone does not say of what.
fn button(token: &Secret, (deed, which): (&str, &str), text: &str, label: &str) -> String {
    let which = if which.is_empty() { String::new() } else { hidden("which", which) };
    let label = escape(label);
    let inside = format!(
        "{which}<button type=\"submit\" name=\"do\" value=\"{deed}\" aria-label=\"{label}\">{text}</button>\n"
    );
    form(token.expose(), &inside)
}

/// Where a user types a password.
fn password_field(id: &str, name: &str, label: &str, kind: &str) -> String {
    format!(
        "<label for=\"{id}\">{label}</label>\n\
         <input id=\"{id}\" name=\"{name}\" type=\"password\" autocomplete=\"{kind}-password\" required>\n"
    )
}

/// Asks who it is.
pub(super) fn login(token: &str, login: &str, status: StatusCode, error: Option<&str>) -> Response {
    let fields = login_fields(login, error.is_some());
    let form = form(token, &format!("{fields}<button type=\"submit\">Log in</button>\n"));
    let body = format!("{}<h1>Your account</h1>\n{form}", error_box("You are not logged in", error));
    page(status, "Your account", &body, None)
}

/// Asks for a code.
pub(super) fn code(token: &str, word: &Secret, status: StatusCode, error: Option<&str>) -> Response {
    let (word, field) = (hidden("word", word.expose()), code_field(error.is_some()));
    let form = form(token, &format!("{word}{field}<button type=\"submit\">Log in</button>\n"));
    let (failed, title) = (error_box("You are not logged in", error), "Which code does your device show?");
    page(status, "Code of your device", &format!("{failed}<h1>{title}</h1>\n{form}"), None)
}

/// Says why it does not work.
pub(super) fn problem(status: StatusCode, why: &str) -> Response {
    let body = format!(
        "<h1>This does not work</h1>\n<p class=\"error\" role=\"alert\">{}</p>\n\
         <p><a href=\"{PAGE}\">Your account</a></p>\n",
        escape(why)
    );
    page(status, "This does not work", &body, None)
}

/// What a device has to read, this once.
pub(super) fn enrolled(token: &Secret, enrolled: &Enrolled) -> Response {
    let uri = enrolled.uri.expose();
    let mut codes = String::new();
    for code in &enrolled.recovery {
        let _ = writeln!(codes, "<li><code>{}</code></li>", escape(code.expose()));
    }
    let body = format!(
        "<h1>Set up your device</h1>\n\
         <ol>\n<li>Have the program on your device that makes codes read this picture:\n{}\n\
         <p>If it cannot, type this secret there: <code>{}</code></p>\n\
         <p>If it is on this device: <a href=\"{}\">open it</a>.</p></li>\n\
         <li>Write down these codes. Each of them lets you in once if you have lost the device:\n\
         <ul>\n{codes}</ul></li>\n<li>Type the code that the device shows now:\n{}</li>\n</ol>\n\
         <p>No code is asked for before you have done that. Neither secret nor codes are shown again.</p>\n\
         <p><a href=\"{PAGE}\">Do it later</a></p>\n",
        picture(uri),
        spaced(secret_of(uri)),
        escape(uri),
        confirmation(token),
    );
    page(StatusCode::OK, "Set up your device", &body, None)
}

/// The secret in an `otpauth` URI.
fn secret_of(uri: &str) -> &str {
    uri.split_once("secret=").map_or("", |(_, rest)| rest.split('&').next().unwrap_or_default())
}

/// In groups of four, for who types it.
fn spaced(secret: &str) -> String {
    let mut out = String::with_capacity(secret.len() * 2);
    for (at, c) in secret.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            out.push(' ');
        }
        out.push(c);
    }
    escape(&out)
}

fn confirmation(token: &Secret) -> String {
    let inside = "<label for=\"code\">Code of the device</label>\n\
                  <input id=\"code\" name=\"code\" type=\"text\" inputmode=\"numeric\" autocomplete=\"one-time-code\" \
                  autocapitalize=\"none\" spellcheck=\"false\" required>\n\
                  <button type=\"submit\" name=\"do\" value=\"confirm\">Ask for codes from now on</button>\n";
    form(token.expose(), inside)
}

/// A QR code as a picture of the page itself; nothing, if the text is too long for one: the secret stands beside.
fn picture(text: &str) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return String::new() };
    let (width, mut path) = (code.width(), String::new());
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let _ = write!(path, "M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET);
        }
    }
    let size = width + 2 * QUIET;
    format!(
        "<svg role=\"img\" aria-label=\"The secret as a QR code\" width=\"300\" height=\"300\" \
         viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{size}v{size}H0z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    )
}

/// What there is to see.
pub(super) struct Overview<'a> {
    pub(super) address: &'a str,
    /// What forms have to show.
    pub(super) token: &'a Secret,
    pub(super) grants: Vec<Allowed>,
    pub(super) applications: Vec<Application>,
    pub(super) second: Option<SecondState>,
    /// In milliseconds since the epoch.
    pub(super) now: i64,
}

impl Overview<'_> {
    /// The page, with what became of what was wanted in front.
    pub(super) fn render(&self, told: Option<&Told>) -> Response {
        let body = format!(
            "{}<h1>Your account</h1>\n<p>{}</p>\n{}{}{}{}{}",
            told.map_or_else(String::new, said),
            escape(self.address),
            self.grants(),
            self.applications(),
            self.second(),
            self.password(),
            button(self.token, ("leave", ""), "Log out", "Log out of this page"),
        );
        page(StatusCode::OK, "Your account", &body, None)
    }

    fn grants(&self) -> String {
        let mut body = "<h2>What you have allowed</h2>\n".to_owned();
        if self.grants.is_empty() {
            body.push_str("<p>Nothing to any application.</p>\n");
        }
        for grant in &self.grants {
            let name = if grant.name.is_empty() { "An application" } else { &grant.name };
            let may: Vec<String> = grant.scope.tokens().map(|one| escape(scopes::words(one))).collect();
            let which = format!("{:016x}", grant.id.0);
            let label = format!("Take back what {name} may do");
            let used = grant.used.map_or_else(|| "never".to_owned(), |used| ago(self.now, used));
            let _ = write!(
                body,
                "<h3>{}</h3>\n<p>{}.</p>\n<p>Allowed {}, last used {used}.</p>\n{}",
                escape(name),
                may.join("; "),
                ago(self.now, grant.created),
                button(self.token, ("take-back", &which), "Take back", &label),
            );
        }
        body
    }

    fn applications(&self) -> String {
        let mut body = "<h2>Passwords of applications</h2>\n\
                        <p>For programs that cannot show the page on which you log in: each has a password of its own.</p>\n"
            .to_owned();
        for one in &self.applications {
            let (which, label) =
                (format!("{:08x}", one.number), format!("Remove the password of {}", one.name));
            let button = button(self.token, ("remove-application", &which), "Remove", &label);
            let made = ago(self.now, one.created);
            let _ = write!(body, "<h3>{}</h3>\n<p>Made {made}.</p>\n{button}", escape(&one.name));
        }
        let inside = [
            "<label for=\"name\">Name of the application</label>\n\
             <input id=\"name\" name=\"name\" type=\"text\" maxlength=\"100\" autocomplete=\"off\" required>\n",
            &password_field("for-application", "current", "Your password", "current"),
            "<button type=\"submit\" name=\"do\" value=\"add-application\">Make a password</button>\n",
        ];
        body.push_str(&form(self.token.expose(), &inside.concat()));
        body
    }

    fn second(&self) -> String {
        let set_up = |text: &str| {
            let field = password_field("for-device", "current", "Your password", "current");
            let button = format!(
                "<button type=\"submit\" name=\"do\" value=\"enroll\" aria-label=\"{text} that makes codes\">{text}</button>\n"
            );
            form(self.token.expose(), &format!("{field}{button}"))
        };
        let state = match self.second {
            None => format!("<p>Only your password is asked for.</p>\n{}", set_up("Set up a device")),
            Some(SecondState { since: None, .. }) => format!(
                "<p>A device was shown its secret, and has not shown a code yet.</p>\n{}{}",
                confirmation(self.token),
                set_up("Set up another device"),
            ),
            Some(SecondState { since: Some(since), recovery }) => format!(
                "<p>A code is asked for after your password; the device was set up {}. Codes on paper that are \
                 left: {recovery}.</p>\n{}",
                ago(self.now, since),
                self.removal(),
            ),
        };
        format!("<h2>A device that makes codes</h2>\n{state}")
    }

    fn removal(&self) -> String {
        let inside = format!(
            "{}{}<button type=\"submit\" name=\"do\" value=\"remove-second\">Remove the device</button>\n",
            password_field("password", "current", "Your password", "current"),
            code_field(false)
        );
        form(self.token.expose(), &inside)
    }

    fn password(&self) -> String {
        let inside = [
            &password_field("current", "current", "Present password", "current"),
            &password_field("new", "new", "New password, of 8 characters at least", "new"),
            &password_field("again", "again", "New password again", "new"),
            "<button type=\"submit\" name=\"do\" value=\"password\">Change the password</button>\n",
        ];
        format!(
            "<h2>Password</h2>\n<p>With another password ends what you have allowed by this one.</p>\n{}",
            form(self.token.expose(), &inside.concat())
        )
    }
}

/// What became of what was wanted, in front of all else: a screen reader says it first.
fn said(told: &Told) -> String {
    match told {
        Told::Yes(text) => format!("<p role=\"status\">{}</p>\n", escape(text)),
        Told::No(text) => error_box("That was not done", Some(text)),
        Told::Application(name, password) => format!(
            "<div role=\"status\">\n<h2>Password of {}</h2>\n<p><code>{}</code></p>\n\
             <p>Type it into the application. It is not shown again.</p>\n</div>\n",
            escape(name),
            escape(password.expose()),
        ),
        Told::Enrolled(_) => String::new(),
    }
}

fn ago(now: i64, then: i64) -> String {
    match (now - then).div_euclid(DAY) {
        ..=0 => "less than a day ago".to_owned(),
        1 => "a day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_days() {
        for (millis, text) in [
            (-DAY, "less than a day ago"),
            (DAY - 1, "less than a day ago"),
            (DAY, "a day ago"),
            (9 * DAY, "9 days ago"),
        ] {
            assert_eq!(ago(millis, 0), text);
        }
    }

    #[test]
    fn a_picture_is_dark_where_the_code_is() {
        let text = "otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQ";
        let drawn = picture(text);
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let dark = code.to_colors().into_iter().filter(|color| *color == Color::Dark).count();
        assert_eq!(drawn.matches("h1v1h-1z").count(), dark);
        // The corner that all of them have.
        assert!(drawn.contains("M4 4h1v1h-1z") && !drawn.contains("M5 5h1v1h-1z"), "{drawn}");
        assert_eq!(picture(&"x".repeat(5000)), "");
    }

    #[test]
    fn a_secret_is_typed_in_groups() {
        assert_eq!(spaced(secret_of("otpauth://totp/a:b?secret=GEZDGNBVGY&issuer=a")), "GEZD GNBV GY");
    }
}
