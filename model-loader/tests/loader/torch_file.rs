//! Writes torch files by hand: pickles operation by operation, in archives whose every number can be made to lie.

/// An archive of the members, at whose end is the directory that torch writes, fit for large files.
pub(crate) fn archive(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    Zip::default().write(members)
}

/// How an archive is written.
#[derive(Default)]
pub(crate) struct Zip {
    /// How a member claims to be compressed.
    pub(crate) method: u16,
    /// Numbers of the directory that fit 32 bits are in the fields for larger ones.
    pub(crate) wide: bool,
    /// How many more members the directory claims than there are.
    pub(crate) more: u64,
}

impl Zip {
    pub(crate) fn write(&self, members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut directory = Vec::new();
        for (name, content) in members {
            let at = file.len();
            file.extend(b"PK\x03\x04\0\0\0\0");
            file.extend(self.method.to_le_bytes());
            file.extend([0; 16]);
            file.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            // torch fills up to 64 bytes, so that storages are aligned.
            let padding = (64 - (at + 30 + name.len()) % 64) % 64;
            file.extend(u16::try_from(padding).unwrap().to_le_bytes());
            file.extend(name.as_bytes());
            file.resize(file.len() + padding, b'Z');
            file.extend(content);
            directory.extend(self.record(name, content.len(), at));
        }
        let (start, len) = (file.len(), directory.len());
        file.extend(directory);
        self.end(&mut file, members.len() as u64 + self.more, len, start);
        file
    }

    fn record(&self, name: &str, len: usize, at: usize) -> Vec<u8> {
        let mut record = b"PK\x01\x02\0\0\0\0\0\0".to_vec();
        record.extend(self.method.to_le_bytes());
        record.extend([0; 8]);
        let extra: Vec<u8> = if self.wide {
            // Of another program, then sizes and place.
            let numbers = [len, len, at].map(|number| (number as u64).to_le_bytes());
            [&[0xFE, 0xCA, 2, 0, 1, 1, 1, 0, 24, 0][..], &numbers.concat()].concat()
        } else {
            Vec::new()
        };
        record.extend(self.narrow(len).repeat(2));
        record.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        record.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        record.extend([0; 10]);
        record.extend(self.narrow(at));
        record.extend(name.as_bytes());
        record.extend(extra);
        record
    }

    fn end(&self, file: &mut Vec<u8>, count: u64, len: usize, start: usize) {
        let at = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend(44u64.to_le_bytes());
        file.extend([0; 12]);
        for number in [count, count, len as u64, start as u64] {
            file.extend(number.to_le_bytes());
        }
        file.extend(b"PK\x06\x07\0\0\0\0");
        file.extend(at.to_le_bytes());
        file.extend([1, 0, 0, 0]);
        file.extend(b"PK\x05\x06\0\0\0\0");
        let narrow =
            if self.wide { [0xFF; 2] } else { u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes() };
        file.extend(narrow.repeat(2));
        file.extend(self.narrow(len));
        file.extend(self.narrow(start));
        file.extend([0; 2]);
    }

    fn narrow(&self, number: usize) -> [u8; 4] {
        if self.wide { [0xFF; 4] } else { u32::try_from(number).unwrap().to_le_bytes() }
    }
}

/// An archive as torch lays it out, with one storage of these bytes.
pub(crate) fn torch_file(pickle: Vec<u8>, storage: Vec<u8>) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/byteorder", b"little".to_vec()), ("a/data/0", storage)])
}

/// A whole pickle that leaves this value.
pub(crate) fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [b"X", &u32::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes()].concat()
}

pub(crate) fn int(number: i64) -> Vec<u8> {
    [b"\x8a\x08", &number.to_le_bytes()[..]].concat()
}

pub(crate) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

pub(crate) fn global(name: &str) -> Vec<u8> {
    let (module, name) = name.rsplit_once('.').unwrap();
    format!("c{module}\n{name}\n").into_bytes()
}

pub(crate) fn call(name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    [global(name), tuple(arguments), b"R".to_vec()].concat()
}

pub(crate) fn dict(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &pairs.concat()[..], b"u"].concat()
}

/// The storage `data/0`, as a type of storage with a count of elements.
pub(crate) fn storage(class: &str, count: i64) -> Vec<u8> {
    let items = [text("storage"), global(class), text("0"), text("cpu"), int(count)];
    [tuple(&items), b"Q".to_vec()].concat()
}

fn ints(numbers: &[i64]) -> Vec<u8> {
    tuple(&numbers.iter().map(|&number| int(number)).collect::<Vec<_>>())
}

/// A tensor in a storage.
pub(crate) fn tensor(storage: Vec<u8>, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let no_gradient = b"\x89".to_vec();
    let hooks = call("collections.OrderedDict", &[]);
    let arguments = [storage, int(offset), ints(shape), ints(strides), no_gradient, hooks];
    call("torch._utils._rebuild_tensor_v2", &arguments)
}

/// A tensor in a storage of bytes, as new types are kept.
pub(crate) fn tensor_of_bytes(count: i64, shape: &[i64], strides: &[i64], dtype: &str) -> Vec<u8> {
    let storage = storage("torch.storage.UntypedStorage", count);
    let hooks = call("collections.OrderedDict", &[]);
    let arguments = [
        storage,
        int(0),
        ints(shape),
        ints(strides),
        b"\x89".to_vec(),
        hooks,
        global(&format!("torch.{dtype}")),
    ];
    call("torch._utils._rebuild_tensor_v3", &arguments)
}
