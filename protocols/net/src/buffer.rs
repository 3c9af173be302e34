//! Bytes that come in at the end and go out at the front, held only while there are any.

/// A queue of bytes in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).extend_from_slice(bytes);
    }

    /// Takes `n` bytes (at most all) off the front.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start += n.min(self.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// The vector to append to, with room for `n` more bytes. What was consumed makes room before memory does.
    pub(crate) fn room(&mut self, n: usize) -> &mut Vec<u8> {
        if self.start > 0 && self.bytes.capacity() - self.bytes.len() < n {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.reserve(n);
        &mut self.bytes
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            *self = Buffer::default();
        }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets all bytes and overwrites them, since they may be secrets of a peer that was fooled.
    pub(crate) fn discard(&mut self) -> usize {
        let discarded = self.len();
        self.bytes.fill(0);
        *self = Buffer::default();
        discarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_is_given_back_when_empty() {
        let mut buffer = Buffer::default();
        buffer.push(b"hello");
        buffer.release();
        assert_eq!(buffer.data(), b"hello");
        buffer.consume(5);
        buffer.release();
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn consumed_bytes_make_room_before_memory_does() {
        let mut buffer = Buffer::default();
        buffer.push(&[1; 1000]);
        let capacity = buffer.bytes.capacity();
        buffer.consume(900);
        buffer.room(capacity - 100);
        assert_eq!(buffer.bytes.capacity(), capacity);
        assert_eq!(buffer.data(), [1; 100]);
    }

    proptest! {
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..50), 0_usize..60), 0..50)) {
            let (mut buffer, mut model) = (Buffer::default(), Vec::new());
            for (bytes, n) in steps {
                buffer.push(&bytes);
                model.extend_from_slice(&bytes);
                prop_assert_eq!(buffer.data(), &model);
                buffer.consume(n);
                model.drain(..n.min(model.len()));
                buffer.release();
            }
            prop_assert_eq!(buffer.data(), &model);
        }
    }
}
