//! What a server announced in its reply to EHLO, as a client reads it.

use crate::Reply;

/// The extensions of a server (RFC 5321 §4.1.1.1). Without EHLO there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// PIPELINING, RFC 2920.
    pub pipelining: bool,
    /// 8BITMIME, RFC 6152.
    pub eight_bit_mime: bool,
    /// BINARYMIME, RFC 3030.
    pub binary_mime: bool,
    /// CHUNKING, RFC 3030.
    pub chunking: bool,
    /// SMTPUTF8, RFC 6531.
    pub smtputf8: bool,
    /// STARTTLS, RFC 3207.
    pub starttls: bool,
    /// DSN, RFC 3461.
    pub dsn: bool,
    /// ENHANCEDSTATUSCODES, RFC 2034.
    pub enhanced_status_codes: bool,
    /// SIZE, RFC 1870: whether it is announced.
    pub size: bool,
    /// The largest message in octets, if SIZE names one that is not 0 (RFC 1870 §4).
    pub max_size: Option<u64>,
    /// AUTH, RFC 4954: mechanisms in upper case.
    pub auth: Vec<String>,
}

impl Capabilities {
    /// Reads a positive reply to EHLO or LHLO.
    ///
    /// ```abnf
    /// ehlo-line    = ehlo-keyword *( SP ehlo-param )
    /// ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
    /// ```
    #[must_use]
    pub fn of(reply: &Reply) -> Self {
        let mut found = Self::default();
        // The first line is the server's name and greeting.
        for line in reply.lines().iter().skip(1) {
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            if let Some(keyword) = words.next() {
                found.add(&keyword.to_ascii_uppercase(), words);
            }
        }
        found
    }

    fn add<'a>(&mut self, keyword: &str, mut params: impl Iterator<Item = &'a str>) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "BINARYMIME" => self.binary_mime = true,
            "CHUNKING" => self.chunking = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "STARTTLS" => self.starttls = true,
            "DSN" => self.dsn = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "SIZE" => {
                self.size = true;
                self.max_size = params.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
            }
            "AUTH" => self.auth.extend(params.map(str::to_ascii_uppercase)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_ehlo_reply() {
        let reply = Reply::plain(250, "mail.example.com PIPELINING at your service")
            .line("8bitmime")
            .line("SIZE 1000")
            .line("AUTH plain  LOGIN")
            .line("")
            .line("X-UNKNOWN a");
        let found = Capabilities::of(&reply);
        assert!(found.eight_bit_mime && found.size && !found.pipelining && !found.chunking);
        assert_eq!(found.max_size, Some(1000));
        assert_eq!(found.auth, ["PLAIN", "LOGIN"]);
        assert_eq!(Capabilities::of(&Reply::plain(250, "x").line("SIZE 0")).max_size, None);
    }
}
