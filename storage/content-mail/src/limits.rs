//! What one message may cost, together and with units.

/// Caps on what is interpreted of one message. What lies beyond a cap is still stored and fetched byte for
/// byte; it is only not taken apart.
///
/// With the default ones a stored summary has at most about half a megabyte, so that several fit into one
/// transaction; an ordinary one has some hundred bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Levels of multipart and message nesting that are entered; what is deeper is an opaque leaf.
    pub depth: usize,
    /// Parts in all, the root included; after that, delimiters of new parts are ordinary text.
    pub parts: usize,
    /// Bytes of one header that are interpreted.
    pub header_bytes: usize,
    /// Fields of one header that are interpreted and listed.
    pub header_fields: usize,
    /// Bytes of one decoded string of the summary (a subject, a parameter).
    pub string_bytes: usize,
    /// Bytes of all strings of the summary together.
    pub text_bytes: usize,
    /// Addresses per address field.
    pub addresses: usize,
    /// Message ids kept of References: the first and the latest ones.
    pub references: usize,
    /// Bytes of the encoded body looked at for the preview.
    pub preview_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 50,
            parts: 2_000,
            header_bytes: 1 << 20,
            header_fields: 5_000,
            string_bytes: 16 << 10,
            text_bytes: 256 << 10,
            addresses: 10_000,
            references: 200,
            preview_bytes: 32 << 10,
        }
    }
}
