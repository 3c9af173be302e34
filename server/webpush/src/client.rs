//! One push: a request to a service (RFC 8030 §5), and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use delivery::outbound::resolver::Resolver;
use futures::future::BoxFuture;
use jmap::{PushError, PushMessage, PushService, Pushed};
use net::{Network, Networks};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use runtime::{SharedClock, SharedRng};
use schema::records::push::PushSecret;
use webpush_proto::{Device, Vapid, encrypt};

use crate::Error;
use crate::places::Places;
use crate::reach::Reach;

/// From the connection's beginning to the head of the answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Until the connection is there.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection is kept that nothing is sent over.
const IDLE: Duration = Duration::from_secs(60);
/// Connections to one service that are kept.
const KEPT: usize = 8;

/// What an operator decides.
pub struct Options {
    /// What pushes are signed with.
    pub secret: PushSecret,
    /// Whom a service may turn to: a `mailto:` or `https:` URI (RFC 8292 §2.1).
    pub contact: String,
    /// Networks that may be called though they are not public.
    pub networks: Vec<Network>,
    /// Authorities that are believed besides the system's, each in PEM.
    pub authorities: Vec<Vec<u8>>,
}

/// Sends pushes.
pub struct WebPush {
    client: Client,
    reach: Reach,
    places: Places,
    vapid: Vapid,
    key: String,
    contact: String,
    clock: SharedClock,
    rng: SharedRng,
}

/// Why nothing is sent: it would never be taken.
struct Unsent;

impl WebPush {
    /// A sender that finds services by `resolver`.
    ///
    /// # Errors
    /// A key or a certificate is none.
    pub fn new(
        options: Options,
        resolver: Arc<dyn Resolver>,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Result<Self, Error> {
        let reach = Reach::new(resolver, Networks::from(options.networks));
        let mut authorities = Vec::new();
        for pem in &options.authorities {
            authorities.extend(Certificate::from_pem_bundle(pem)?);
        }
        let client = Client::builder()
            .https_only(true)
            // Where it would lead was not looked at.
            .redirect(Policy::none())
            // A proxy would resolve names for itself.
            .no_proxy()
            .dns_resolver(Arc::new(reach.clone()))
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .tls_certs_merge(authorities)
            .build()?;
        let vapid = Vapid::read(&options.secret.pair)?;
        let (places, key, contact) = (Places::default(), vapid.public(), options.contact);
        Ok(WebPush { client, reach, places, vapid, key, contact, clock, rng })
    }

    fn request(&self, message: &PushMessage) -> Result<(String, RequestBuilder), Unsent> {
        let url = self.reach.url(&message.url).ok_or(Unsent)?;
        let origin = url.origin().ascii_serialization();
        let now = u64::try_from(self.clock.now().secs()).unwrap_or(0);
        let signed = self.vapid.authorization(&origin, now, &self.contact).map_err(|error| {
            tracing::error!(%error, "a push cannot be signed");
            Unsent
        })?;
        let mut request = self
            .client
            .post(url)
            .header(AUTHORIZATION, signed)
            .header(CONTENT_TYPE, "application/json")
            // RFC 8030 §5.2, §5.3
            .header("TTL", message.lasts.as_secs())
            .header("Urgency", if message.may_wait { "low" } else { "normal" });
        if let Some(topic) = &message.topic {
            request = request.header("Topic", topic);
        }
        request = match &message.keys {
            None => request.body(message.body.clone()),
            Some(keys) => {
                request.header(CONTENT_ENCODING, "aes128gcm").body(self.encrypted(keys, &message.body)?)
            }
        };
        Ok((origin, request))
    }

    /// RFC 8291, with a key of its own for each message.
    fn encrypted(&self, (p256dh, auth): &(String, String), body: &[u8]) -> Result<Vec<u8>, Unsent> {
        let device = Device::read(p256dh, auth).map_err(|_| Unsent)?;
        let (mut private, mut salt) = ([0; 32], [0; 16]);
        // Hardly any 32 octets are no key.
        for _ in 0..8 {
            self.rng.fill(&mut private);
            self.rng.fill(&mut salt);
            match encrypt(&device, &private, &salt, body) {
                Err(webpush_proto::Error::OwnKey) => {}
                other => return other.map_err(|_| Unsent),
            }
        }
        Err(Unsent)
    }

    async fn send(&self, message: &PushMessage) -> Pushed {
        let Ok((origin, request)) = self.request(message) else { return Pushed::Dropped };
        let Some(_place) = self.places.enter(&origin).await else { return Pushed::Later(None) };
        match request.send().await {
            Ok(answer) => meaning(answer.status(), answer.headers(), self.clock.now().secs()),
            Err(error) => {
                // Whose service it is is nobody's business but its user's.
                tracing::debug!(error = %error.without_url(), "a push service did not answer");
                Pushed::Later(None)
            }
        }
    }
}

/// What a service's answer says, at a time in seconds since the epoch.
fn meaning(status: StatusCode, fields: &HeaderMap, now: i64) -> Pushed {
    match status.as_u16() {
        200..=299 => Pushed::Taken,
        // RFC 8030 §7.3
        404 | 410 => Pushed::Gone,
        // RFC 8030 §8.4; RFC 9110 §15.6
        429 | 500..=599 => Pushed::Later(retry_after(fields, now)),
        // RFC 8620 §7.2: of what else is said nothing gets better by saying it again.
        _ => Pushed::Dropped,
    }
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(fields: &HeaderMap, now: i64) -> Option<Duration> {
    let text = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
            u64::try_from(at.saturating_sub(now)).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds))
}

impl PushService for WebPush {
    fn key(&self) -> &str {
        &self.key
    }

    fn check(&self, url: &str, keys: Option<(&str, &str)>) -> Result<(), PushError> {
        self.reach.url(url).ok_or(PushError::Url)?;
        match keys {
            None => Ok(()),
            Some((p256dh, auth)) => Device::read(p256dh, auth).map(drop).map_err(|_| PushError::Keys),
        }
    }

    fn push<'a>(&'a self, message: &'a PushMessage) -> BoxFuture<'a, Pushed> {
        Box::pin(self.send(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::tests::All;
    use runtime::{ManualClock, SystemRng, Timestamp};
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;

    /// A service that answers each request with this, and shows what it heard.
    async fn service(answer: &'static str) -> (SocketAddr, Vec<u8>, tokio::task::JoinHandle<Vec<u8>>) {
        let made = rcgen::generate_simple_self_signed(["push.example.test".to_owned()]).unwrap();
        let pem = made.cert.pem().into_bytes();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let heard = tokio::spawn(async move {
            let (stream, _) = socket.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            let mut heard = Vec::new();
            let ends = |heard: &[u8]| {
                let text = String::from_utf8_lossy(heard).to_lowercase();
                let length =
                    text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
                let head = heard.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
                (heard.len() >= head + length).then_some(())
            };
            while ends(&heard).is_none() {
                let mut some = [0; 4096];
                let read = stream.read(&mut some).await.unwrap();
                heard.extend_from_slice(&some[..read]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            heard
        });
        (address, pem, heard)
    }

    fn sender(networks: &[&str], authorities: Vec<Vec<u8>>) -> WebPush {
        let options = Options {
            secret: PushSecret { pair: Vapid::generate().unwrap() },
            contact: "mailto:postmaster@example.test".into(),
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            authorities,
        };
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let resolver = Arc::new(All("127.0.0.1".parse().unwrap()));
        WebPush::new(options, resolver, clock, SystemRng::shared()).unwrap()
    }

    fn message(port: u16) -> PushMessage {
        PushMessage {
            url: format!("https://push.example.test:{port}/x"),
            keys: None,
            topic: Some("abc".into()),
            may_wait: true,
            lasts: Duration::from_secs(60),
            body: b"{}".to_vec(),
        }
    }

    /// RFC 8030 §5
    #[tokio::test]
    async fn a_push_is_a_signed_request() {
        let (address, pem, heard) =
            service("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n").await;
        let sender = sender(&["127.0.0.0/8"], vec![pem]);
        let pushed = sender.push(&message(address.port())).await;
        assert_eq!(pushed, Pushed::Later(Some(Duration::from_secs(7))));
        let heard = String::from_utf8(heard.await.unwrap()).unwrap().to_lowercase();
        assert!(heard.starts_with("post /x http/1.1\r\n") && heard.ends_with("\r\n\r\n{}"), "{heard}");
        for field in ["ttl: 60", "urgency: low", "topic: abc", "authorization: vapid t="] {
            assert!(heard.contains(&format!("\r\n{field}")), "{field}: {heard}");
        }
        assert!(!heard.contains("content-encoding"));
    }

    /// RFC 8620 §8.6
    #[tokio::test]
    async fn nobody_calls_where_he_may_not_and_redirects_lead_nowhere() {
        let (address, pem, heard) = service(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        let careful = sender(&[], vec![pem.clone()]);
        assert_eq!(careful.push(&message(address.port())).await, Pushed::Later(None), "nobody was called");
        let bare = PushMessage { url: format!("https://{address}/"), ..message(0) };
        assert_eq!(careful.push(&bare).await, Pushed::Dropped);
        let distrustful = sender(&["127.0.0.0/8"], vec![]);
        assert!(!heard.is_finished());
        assert_eq!(sender(&["127.0.0.0/8"], vec![pem]).push(&message(address.port())).await, Pushed::Dropped);
        heard.await.unwrap();
        assert_eq!(distrustful.push(&message(address.port())).await, Pushed::Later(None));
    }

    #[test]
    fn answers_have_their_meaning() {
        let mut fields = HeaderMap::new();
        fields.insert(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        let says = |status: u16| meaning(StatusCode::from_u16(status).unwrap(), &fields, 784_111_770);
        assert_eq!((says(201), says(410), says(404)), (Pushed::Taken, Pushed::Gone, Pushed::Gone));
        assert_eq!(says(503), Pushed::Later(Some(Duration::from_secs(7))));
        for status in [301, 307, 400, 401, 403, 413] {
            assert_eq!(says(status), Pushed::Dropped, "{status}");
        }
        fields.insert(RETRY_AFTER, "soon".parse().unwrap());
        assert_eq!(meaning(StatusCode::BAD_GATEWAY, &fields, 0), Pushed::Later(None));
    }

    #[test]
    fn who_subscribes_is_checked() {
        let sender = sender(&[], vec![]);
        assert_eq!(sender.check("https://push.example.net/", None), Ok(()));
        assert_eq!(sender.check("https://127.0.0.1/", None), Err(PushError::Url));
        assert_eq!(sender.check("https://push.example.net/", Some(("x", "y"))), Err(PushError::Keys));
        assert_eq!(sender.key().len(), 87);
    }
}
