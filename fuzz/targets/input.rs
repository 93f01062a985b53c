//! Bytes of the fuzzer, taken from the front as what a target needs. At the end there are zeros.

/// What is left.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// At most so many.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Behind their length, of one byte.
    pub fn short(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length.into())
    }

    /// Behind their length, of two bytes.
    pub fn long(&mut self) -> &'a [u8] {
        let length = self.word();
        self.take(length.into())
    }

    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.short()).into_owned()
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()].clone()
    }
}
