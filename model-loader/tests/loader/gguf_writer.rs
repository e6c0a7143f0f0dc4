//! GGUF files that are written: every byte where it belongs, and values as their formats make them.

use std::io::{self, Write};

use kinora_model_loader::{
    Bytes, Change, Checkpoint, Format, GgufValue, GgufWriter, HostTensor, LoadError, LowRank, TensorPlan,
};

use crate::refused;

fn plan(name: &str, shape: &[usize], format: Format) -> TensorPlan {
    TensorPlan { name: name.to_owned(), shape: shape.to_vec(), format }
}

fn tensor(name: &str, shape: &[usize]) -> HostTensor {
    let count: usize = shape.iter().product();
    let values = (0..count).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 300.0);
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    HostTensor::new(name, Format::F32, shape, bytes.into())
}

/// Reads a file's parts in order.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> usize {
        usize::try_from(u64::from_le_bytes(self.take(8).try_into().unwrap())).unwrap()
    }

    fn text(&mut self) -> String {
        let count = self.u64();
        String::from_utf8(self.take(count).to_vec()).unwrap()
    }
}

#[test]
fn files_read_back_as_they_were_planned() {
    let metadata = [
        ("general.architecture", GgufValue::Text("wan".to_owned())),
        ("general.file_type", GgufValue::U32(15)),
        ("orig_shape", GgufValue::I32s(vec![5, -1])),
        ("scores", GgufValue::F32s(vec![0.5])),
        ("tokens", GgufValue::Texts(vec!["a".to_owned(), "é".to_owned()])),
        ("charsmap", GgufValue::Bytes(vec![1, 2, 3])),
        ("flag", GgufValue::Bool(true)),
        ("eps", GgufValue::F32(1e-6)),
        ("count", GgufValue::U64(1 << 40)),
        ("sign", GgufValue::I32(-2)),
    ];
    let formats: Vec<Format> =
        Format::ALL.into_iter().filter(|format| !matches!(format, Format::F8E4M3 | Format::F8E5M2)).collect();
    let mut plans: Vec<_> = formats.iter().map(|&format| plan(format.name(), &[3, 2, 256], format)).collect();
    plans.push(plan("scalar", &[], Format::F32));
    plans.push(plan("odd", &[1, 5, 3], Format::BF16));
    let mut writer = GgufWriter::new("f.gguf", Vec::new(), &metadata, plans.clone()).unwrap();
    for plan in &plans {
        let mut seen = 0;
        writer.write_tensor(&tensor(&plan.name, &plan.shape), |values| seen += values).unwrap();
        assert_eq!(seen, plan.shape.iter().product::<usize>());
    }
    let file = writer.finish().unwrap();
    assert_eq!(file.len() % 32, 0);

    let checkpoint = Checkpoint::from_bytes("f.gguf", file.clone().into()).unwrap();
    for plan in &plans {
        let read = checkpoint.tensor(&plan.name).unwrap();
        let shape = if plan.shape.is_empty() { vec![1] } else { plan.shape.clone() };
        assert_eq!((read.format, read.shape), (plan.format, shape));
    }

    let mut reader = Reader(&file);
    assert_eq!(reader.take(4), b"GGUF");
    assert_eq!((reader.u32(), reader.u64(), reader.u64()), (3, plans.len(), 10));
    assert_eq!(
        (reader.text(), reader.u32(), reader.text()),
        ("general.architecture".into(), 8, "wan".into())
    );
    assert_eq!((reader.text(), reader.u32(), reader.u32()), ("general.file_type".into(), 4, 15));
    assert_eq!((reader.text(), reader.u32(), reader.u32(), reader.u64()), ("orig_shape".into(), 9, 5, 2));
    assert_eq!((reader.u32(), reader.u32()), (5, u32::MAX));
    assert_eq!((reader.text(), reader.u32(), reader.u32(), reader.u64()), ("scores".into(), 9, 6, 1));
    assert_eq!(reader.u32(), 0.5f32.to_bits());
    assert_eq!((reader.text(), reader.u32(), reader.u32(), reader.u64()), ("tokens".into(), 9, 8, 2));
    assert_eq!((reader.text(), reader.text()), ("a".into(), "é".into()));
    assert_eq!((reader.text(), reader.u32(), reader.u32(), reader.u64()), ("charsmap".into(), 9, 0, 3));
    assert_eq!(reader.take(3), [1, 2, 3]);
    assert_eq!((reader.text(), reader.u32(), reader.take(1).to_vec()), ("flag".into(), 7, vec![1]));
    assert_eq!((reader.text(), reader.u32(), reader.u32()), ("eps".into(), 6, 1e-6f32.to_bits()));
    assert_eq!((reader.text(), reader.u32(), reader.u64()), ("count".into(), 10, 1 << 40));
    assert_eq!((reader.text(), reader.u32(), reader.u32()), ("sign".into(), 5, u32::MAX - 1));
    let mut places = Vec::new();
    for plan in &plans {
        assert_eq!(reader.text(), plan.name);
        let mut dims: Vec<usize> = (0..reader.u32()).map(|_| 0).collect();
        dims.iter_mut().for_each(|dim| *dim = reader.u64());
        dims.reverse();
        assert_eq!(dims, if plan.shape.is_empty() { vec![1] } else { plan.shape.clone() });
        places.push((reader.u32(), reader.u64()));
    }
    assert_eq!(
        places.iter().map(|place| place.0).collect::<Vec<_>>(),
        [0, 1, 30, 8, 2, 3, 6, 7, 20, 10, 11, 12, 13, 14, 0, 30]
    );
    let start = (file.len() - reader.0.len()).next_multiple_of(32);
    for (plan, (_, offset)) in plans.iter().zip(places) {
        assert_eq!(offset % 32, 0);
        let values = tensor(&plan.name, &plan.shape).to_f32();
        let mut want = Vec::new();
        plan.format.quantise(&values, &mut want).unwrap();
        assert_eq!(file[start + offset..][..want.len()], want, "{}", plan.name);
    }
}

#[test]
fn scales_and_changes_are_applied_and_groups_are_kept() {
    let mut scaled =
        HostTensor::new("scaled", Format::F8E4M3, &[2, 2], Bytes::from_static(&[0x38, 0x40, 0x44, 0x48]));
    scaled.scale = Some([0.5, -2.0].into());
    let pair = |shape: &[usize], values: [f32; 2]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        HostTensor::new("pair", Format::F32, shape, bytes.into())
    };
    let low = LowRank { up: pair(&[2, 1], [1.0, 2.0]), down: pair(&[1, 2], [1.0, 10.0]), factor: 0.5 };
    scaled.changes = vec![Change::LowRank(low)];
    let mut bytes = Vec::new();
    Format::Q4K.quantise(&tensor("t", &[256]).to_f32(), &mut bytes).unwrap();
    let kept = HostTensor::new("kept", Format::Q4K, &[256], bytes.clone().into());
    let plans = vec![plan("scaled", &[2, 2], Format::F32), plan("kept", &[256], Format::Q4K)];
    let mut writer = GgufWriter::new("f.gguf", Vec::new(), &[], plans).unwrap();
    writer.write_tensor(&scaled, |_| {}).unwrap();
    writer.write_tensor(&kept, |_| {}).unwrap();
    let file = writer.finish().unwrap();
    let data = file.len() - 160 - 32;
    assert_eq!(Format::F32.to_f32(&file[data..data + 16]), scaled.to_f32());
    assert_eq!(scaled.to_f32(), [1.0, 6.0, -5.0, 2.0]);
    assert_eq!(file[data + 32..][..144], bytes);
}

#[test]
fn mapped_files_are_written_in_pieces() {
    // 9 million values: three pieces.
    let folder = tempfile::tempdir().unwrap();
    let whole = tensor("w", &[9 << 10, 1 << 10]);
    let header =
        format!(r#"{{"w":{{"dtype":"F32","shape":[9216,1024],"data_offsets":[0,{}]}}}}"#, whole.bytes.len());
    let path = folder.path().join("w.safetensors");
    let mut file = io::BufWriter::new(std::fs::File::create(&path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.write_all(&whole.bytes).unwrap();
    drop(file);
    let mapped = Checkpoint::open_file(&path).unwrap().tensor("w").unwrap();
    let plans = vec![plan("w", &[9 << 10, 1 << 10], Format::F16)];
    let mut writer = GgufWriter::new("f.gguf", Vec::new(), &[], plans).unwrap();
    let mut pieces = Vec::new();
    writer.write_tensor(&mapped, |values| pieces.push(values)).unwrap();
    assert_eq!(pieces, [4 << 20, 4 << 20, 1 << 20]);
    let file = writer.finish().unwrap();
    let data = &file[file.len() - (18 << 20)..];
    let mut want = Vec::new();
    Format::F16.quantise(&whole.to_f32(), &mut want).unwrap();
    assert!(data == want);
}

#[test]
fn what_does_not_fit_the_plan_is_refused() {
    let new = |plans: &[TensorPlan]| GgufWriter::new("f.gguf", Vec::new(), &[], plans.to_vec());
    for (plans, things) in [
        (vec![plan("w", &[2, 100], Format::Q8_0)], &["rows have 100 values", "Q8_0", "32"][..]),
        (vec![plan("w", &[256, 2], Format::Q4K)], &["rows have 2 values", "256"]),
        (vec![plan("w", &[], Format::Q8_0)], &["rows have 1 values"]),
        (vec![plan("w", &[0, 4], Format::F32)], &["[0, 4]", "empty"]),
        (vec![plan("w", &[4], Format::F8E4M3)], &["F8_E4M3", "not a type of GGUF"]),
        (vec![plan("w", &[usize::MAX, 2], Format::F32)], &["larger than any memory"]),
        (vec![plan("w", &[usize::MAX / 4], Format::F16), plan("w", &[1], Format::F32)], &["twice"]),
    ] {
        refused(new(&plans), &[&["`f.gguf`", "`w`"], things].concat());
    }
    let repeated = [("a", GgufValue::U32(1)), ("a", GgufValue::U32(1))];
    refused(GgufWriter::new("f.gguf", Vec::new(), &repeated, Vec::new()), &["`f.gguf`", "`a`"]);

    let writer = || new(&[plan("w", &[2, 32], Format::Q8_0)]).unwrap();
    let write = |tensor: &HostTensor| writer().write_tensor(tensor, |_| {});
    refused(write(&tensor("v", &[2, 32])), &["`v`", "`w`"]);
    refused(write(&tensor("w", &[32, 2])), &["`w`", "[32, 2]", "[2, 32]"]);
    refused(write(&HostTensor::new("w", Format::F16, &[2, 32], vec![0; 6].into())), &["`w`", "6 bytes"]);
    let mut wrong = tensor("w", &[2, 32]);
    wrong.scale = Some([f32::NAN].into());
    refused(write(&wrong), &["`f.gguf`", "`w`", "value 0 is NaN"]);
    refused(writer().finish(), &["`w`", "did not come"]);
    let mut full = writer();
    full.write_tensor(&tensor("w", &[2, 32]), |_| {}).unwrap();
    refused(full.write_tensor(&tensor("w", &[2, 32]), |_| {}), &["`w`", "all announced"]);
}

/// A disk with room for so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told() {
    for room in [0, 64, 96, 100] {
        let write = || -> Result<(), LoadError> {
            let mut writer =
                GgufWriter::new("f.gguf", Full(room), &[], vec![plan("w", &[2, 32], Format::Q8_0)])?;
            writer.write_tensor(&tensor("w", &[2, 32]), |_| {})?;
            writer.finish().map(drop)
        };
        refused(write(), &["cannot write `f.gguf`"]);
    }
}
