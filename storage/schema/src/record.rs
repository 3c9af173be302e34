//! Records: prost messages behind one leading format byte.

/// Why a value is no record of the expected kind. The store holds something this program did not write, or
/// a newer one did: an operator has to look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The value is empty or shorter than its fixed part.
    #[error("record is too short")]
    Short,
    /// The format byte is neither the current nor the previous one.
    #[error("record has format {0}, which this version does not read")]
    Format(u8),
    /// The fields cannot be read.
    #[error("record is malformed: {0}")]
    Fields(#[from] prost::DecodeError),
    /// A field holds what its type cannot.
    #[error("record has a bad value in field {0}")]
    Value(&'static str),
}

/// A record of the database: a prost message that is stored behind its format byte.
///
/// Fields are added with new tags and never change their meaning. What cannot be said so gets the next
/// format byte; then [`Record::upgrade`] reads the previous one, and from which feature level on the new one is written
/// is [`Record::SINCE`].
pub trait Record: prost::Message + Default {
    /// The format written.
    const FORMAT: u8 = 1;

    /// The feature level from which on [`Record::FORMAT`] is written, and [`Record::previous`] before; none if it is always.
    const SINCE: Option<u32> = None;

    /// The stored bytes, of a record that has one format.
    fn to_bytes(&self) -> Vec<u8> {
        const { assert!(Self::SINCE.is_none(), "how it is written depends on the feature level: see to_bytes_at") };
        self.current()
    }

    /// The stored bytes, as the cluster's feature level says, which was read in the transaction that writes them.
    fn to_bytes_at(&self, level: u32) -> Vec<u8> {
        match Self::SINCE {
            Some(since) if level < since => self.previous(),
            _ => self.current(),
        }
    }

    /// The bytes of the previous format.
    fn previous(&self) -> Vec<u8> {
        self.current()
    }

    /// The bytes of the current format.
    fn current(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.encoded_len());
        bytes.push(Self::FORMAT);
        self.encode_raw(&mut bytes);
        bytes
    }

    /// Reads stored bytes; unknown fields are skipped, missing ones are their defaults.
    fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let (&format, fields) = bytes.split_first().ok_or(RecordError::Short)?;
        if format == Self::FORMAT && Self::SINCE.is_some_and(|since| since > crate::level::LAST) {
            return Err(RecordError::Format(format));
        }
        if format == Self::FORMAT { Ok(Self::decode(fields)?) } else { Self::upgrade(format, fields) }
    }

    /// Whether stored bytes are of the current format.
    fn is_current(bytes: &[u8]) -> bool {
        bytes.first() == Some(&Self::FORMAT)
    }

    /// Reads the previous format.
    fn upgrade(format: u8, _fields: &[u8]) -> Result<Self, RecordError> {
        Err(RecordError::Format(format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Old {
        #[prost(uint32, tag = "1")]
        a: u32,
    }
    impl Record for Old {}

    #[derive(Clone, PartialEq, prost::Message)]
    struct New {
        #[prost(uint32, tag = "1")]
        a: u32,
        #[prost(string, tag = "2")]
        b: String,
    }
    impl Record for New {}

    #[test]
    fn unknown_fields_are_skipped_and_missing_ones_default() {
        let new = New { a: 7, b: "x".into() };
        assert_eq!(Old::from_bytes(&new.to_bytes()).unwrap(), Old { a: 7 });
        assert_eq!(New::from_bytes(&Old { a: 7 }.to_bytes()).unwrap(), New { a: 7, b: String::new() });
    }

    #[test]
    fn a_foreign_format_is_an_error() {
        assert_eq!(Old::from_bytes(&[]), Err(RecordError::Short));
        assert_eq!(Old::from_bytes(&[9, 8, 1]), Err(RecordError::Format(9)));
        assert!(matches!(Old::from_bytes(&[1, 8]), Err(RecordError::Fields(_))));
    }
}
