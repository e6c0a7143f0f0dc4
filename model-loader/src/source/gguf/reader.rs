//! Reads a GGUF header's numbers, texts and values, none of which may lie outside of the file.

use super::Value;

/// How deep arrays may lie in arrays.
const MOST_NESTED: usize = 8;

/// What is left of a header.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Result<T> = std::result::Result<T, String>;

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let Some((bytes, _)) = self.bytes[self.at..].split_first_chunk() else {
            return Err(format!("the file ends at byte {}, before the end of {what}", self.bytes.len()));
        };
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32> {
        self.bytes(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64> {
        self.bytes(what).map(u64::from_le_bytes)
    }

    /// Refuses a count of things of which each takes `least` bytes, if the file cannot hold them.
    pub(super) fn check_count(&self, what: &str, count: u64, least: u64) -> Result<()> {
        if count.checked_mul(least).is_none_or(|bytes| bytes > self.left() as u64) {
            return Err(format!(
                "its header claims {count} {what}, for which the file of {} bytes is too short",
                self.bytes.len()
            ));
        }
        Ok(())
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String> {
        let len = self.u64(what)?;
        self.check_count(&format!("bytes of text for {what}"), len, 1)?;
        let len = usize::try_from(len).map_err(|_| format!("{what} is too long"))?;
        let text = &self.bytes[self.at..self.at + len];
        self.at += len;
        match std::str::from_utf8(text) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(format!("{what} is not UTF-8 (`{}`)", String::from_utf8_lossy(text))),
        }
    }

    /// A value with its type before it.
    pub(super) fn value(&mut self) -> Result<Value> {
        let kind = self.u32("its type")?;
        self.value_of(kind, 0)
    }

    fn value_of(&mut self, kind: u32, nested: usize) -> Result<Value> {
        const WHAT: &str = "its value";
        Ok(match kind {
            0 => Value::Unsigned(self.bytes::<1>(WHAT)?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes(WHAT)?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes(WHAT)?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes(WHAT)?).into()),
            4 => Value::Unsigned(self.u32(WHAT)?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes(WHAT)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes(WHAT)?).into()),
            7 => Value::Bool(self.bytes::<1>(WHAT)?[0] != 0),
            8 => Value::Text(self.string("its text")?),
            9 => self.array(nested)?,
            10 => Value::Unsigned(self.u64(WHAT)?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes(WHAT)?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes(WHAT)?)),
            other => return Err(format!("its type is {other}, which is unknown")),
        })
    }

    fn array(&mut self, nested: usize) -> Result<Value> {
        if nested == MOST_NESTED {
            return Err(format!("arrays lie more than {MOST_NESTED} deep in each other"));
        }
        let kind = self.u32("the type of its items")?;
        let count = self.u64("the number of its items")?;
        let least = match kind {
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => 12,
            _ => 1,
        };
        self.check_count("items of an array", count, least)?;
        if matches!(kind, 0 | 1 | 7) {
            let len = usize::try_from(count).map_err(|_| "it is too long".to_owned())?;
            let bytes = self.bytes[self.at..self.at + len].to_vec();
            self.at += len;
            return Ok(Value::Bytes(bytes));
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value_of(kind, nested + 1)?);
        }
        Ok(Value::Array(items))
    }
}
