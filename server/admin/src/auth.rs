//! Who may use the API: the user `admin` with the node's bootstrap password.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use subtle::ConstantTimeEq;

use crate::{Admin, Problem};

/// Lets a request with the right credentials through and answers 401 to all others (RFC 7617).
pub(crate) async fn require(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    if password_of(request.headers()).is_some_and(|p| bool::from(p.ct_eq(admin.password.as_bytes()))) {
        return next.run(request).await;
    }
    let mut response =
        Problem::new(StatusCode::UNAUTHORIZED, "the API needs the admin password").into_response();
    let challenge = HeaderValue::from_static("Basic realm=\"godwit\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn password_of(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut decoded = base64::engine::general_purpose::STANDARD.decode(token.trim()).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    if decoded.get(..colon)? != b"admin" {
        return None;
    }
    Some(decoded.split_off(colon + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn credentials_are_read_as_rfc_7617_writes_them() {
        let basic = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
        assert_eq!(password_of(&headers(&basic("admin:a:b"))), Some(b"a:b".to_vec()));
        assert_eq!(password_of(&headers(&basic("admin:").replace("Basic", "bASIC"))), Some(Vec::new()));
        for bad in [basic("root:x"), basic("admin"), "Basic !".into(), "Bearer eA==".into(), "Basic".into()] {
            assert_eq!(password_of(&headers(&bad)), None, "{bad}");
        }
        assert_eq!(password_of(&HeaderMap::new()), None);
    }
}
