//! The bytes of a pickle, from the first to the last.

use super::operation::{BINBYTES, BINSTRING, BINUNICODE, SHORT_BINBYTES, SHORT_BINSTRING, SHORT_BINUNICODE};
use super::{Fault, Value};

pub(super) type Result<T> = std::result::Result<T, Fault>;

pub(super) fn bad<T>(reason: impl Into<String>) -> Result<T> {
    Err(Fault::Bad(reason.into()))
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let Some(taken) = taken else {
            return bad(format!(
                "it is cut short at byte {}: {len} bytes should follow, {} do",
                self.at,
                rest.len()
            ));
        };
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    /// The text up to the end of the line.
    pub(super) fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let Some(len) = rest.iter().position(|&byte| byte == b'\n') else {
            return bad(format!("the name at byte {} has no end", self.at));
        };
        self.at += len + 1;
        str::from_utf8(&rest[..len]).map_or_else(|_| bad("it asks for a name that is not UTF-8"), Ok)
    }

    /// How many bytes follow, by operation.
    pub(super) fn length(&mut self, operation: u8) -> Result<u64> {
        Ok(match operation {
            SHORT_BINSTRING | SHORT_BINBYTES | SHORT_BINUNICODE => self.byte()?.into(),
            BINUNICODE | BINSTRING | BINBYTES => u32::from_le_bytes(self.array()?).into(),
            _ => u64::from_le_bytes(self.array()?),
        })
    }

    pub(super) fn text(&mut self, len: u64) -> Result<Value<'a>> {
        let at = self.at;
        match str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(Value::Text(text)),
            Err(_) => bad(format!("its text at byte {at} is not UTF-8")),
        }
    }

    /// A number of any width, with its sign in the last bit.
    pub(super) fn long(&mut self, len: u64) -> Result<Value<'a>> {
        let bytes = self.take(len)?;
        if bytes.len() > 8 {
            return Ok(Value::Other("a number of more than 64 bits"));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xFF } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(wide)))
    }
}
