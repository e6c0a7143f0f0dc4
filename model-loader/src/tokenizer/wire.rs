//! Protobuf's wire format: the fields of one message, in the order of the file.

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Integers, enums and truth values.
    Varint(u64),
    /// Four bytes, least significant first: floats among others.
    Fixed32([u8; 4]),
    /// Strings, bytes and messages.
    Bytes(&'a [u8]),
    /// Eight bytes, which nothing here reads.
    Fixed64,
}

/// The fields of a message: number and value. The first error ends it.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.bytes()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number in it is too long".to_owned())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), String> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.bytes::<8>().map(|_| Value::Fixed64)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| cut_short())?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(cut_short)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(self.bytes()?),
            other => return Err(format!("it has a field of the unknown kind {other}")),
        };
        Ok((key >> 3, value))
    }
}

fn cut_short() -> String {
    "it ends in the middle of a field".to_owned()
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_field_is_read() {
        let message =
            [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1D, 0, 0, 0x80, 0x3F, 0x21, 1, 2, 3, 4, 5, 6, 7, 8];
        let fields: Vec<_> = Fields::new(&message).map(Result::unwrap).collect();
        let float = Value::Fixed32(1.0_f32.to_le_bytes());
        let wanted = [(1, Value::Varint(150)), (2, Value::Bytes(b"hi")), (3, float), (4, Value::Fixed64)];
        assert_eq!(fields, wanted);
    }

    #[test]
    fn what_is_cut_or_unknown_is_refused_once() {
        for message in [
            &[0x08][..],
            &[0x08, 0x80],
            &[0x12, 3, b'h', b'i'],
            &[0x1D, 0, 0],
            &[0x21, 0],
            &[0x0B],
            &[0xFF; 11],
        ] {
            let mut fields = Fields::new(message);
            assert!(fields.next().is_some_and(|field| field.is_err()), "{message:?}");
            assert!(fields.next().is_none());
        }
    }
}
