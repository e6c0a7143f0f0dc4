//! Microsoft's shader compiler, `libdxcompiler`, through the few COM calls that compile a text. Its Linux build gives interfaces the
//! layout of C++ classes with virtual destructors: two slots more than on Windows follow after the three of `IUnknown`.
use std::{ffi::c_void, path::Path, ptr};

/// Slots of `IUnknown`: three methods, on Linux and macOS two destructors.
const FIRST: usize = if cfg!(windows) { 3 } else { 5 };
const RELEASE: usize = 2;
const UTF8: u32 = 65001;

/// A COM identifier as it lies in memory.
#[repr(C)]
struct Guid(u32, u16, u16, [u8; 8]);

static CLSID_COMPILER: Guid =
    Guid(0x73e2_2d93, 0xe6ce, 0x47f3, [0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0]);
static IID_COMPILER_3: Guid =
    Guid(0x228b_4687, 0x5a6a, 0x4730, [0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54]);
static IID_RESULT: Guid = Guid(0x5834_6cda, 0xdde7, 0x4497, [0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59]);

#[repr(C)]
struct Buffer {
    text: *const u8,
    length: usize,
    encoding: u32,
}

/// What the library's `wchar_t` is.
#[cfg(windows)]
type Wide = u16;
#[cfg(not(windows))]
type Wide = u32;

type CreateInstance = unsafe extern "C" fn(*const Guid, *const Guid, *mut *mut c_void) -> i32;
type Compile = unsafe extern "C" fn(
    *mut c_void,
    *const Buffer,
    *const *const Wide,
    u32,
    *mut c_void,
    *const Guid,
    *mut *mut c_void,
) -> i32;
type GetStatus = unsafe extern "C" fn(*mut c_void, *mut i32) -> i32;
type GetBlob = unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> i32;
type GetPointer = unsafe extern "C" fn(*mut c_void) -> *const u8;
type GetSize = unsafe extern "C" fn(*mut c_void) -> usize;
type Release = unsafe extern "C" fn(*mut c_void) -> u32;

/// The opened library.
pub(crate) struct Library(libloading::Library);

/// A compiler; each thread has its own.
pub(crate) struct Compiler<'a> {
    object: Object,
    _library: &'a Library,
}

/// A COM object that is released at the end.
struct Object(*mut c_void);

impl Library {
    /// # Errors
    /// If it is no library, or another one.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        // SAFETY: the file is named by whoever runs the tests, or fetched by `.ci/dxc` and verified by its hash.
        let library = unsafe { libloading::Library::new(path) };
        library.map(Self).map_err(|e| format!("{}: {e}", path.display()))
    }
}

impl Object {
    /// The method at a slot of the object's table.
    ///
    /// # Safety
    /// `F` must be the type of that method.
    unsafe fn method<F: Copy>(&self, slot: usize) -> F {
        // SAFETY: a COM object begins with a pointer to its table of functions; the caller knows the slot's type.
        unsafe {
            let table = *self.0.cast::<*const *const c_void>();
            *table.add(slot).cast::<F>()
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: slot 2 of every COM object releases it; nobody uses it afterwards.
            unsafe { self.method::<Release>(RELEASE)(self.0) };
        }
    }
}

impl<'a> Compiler<'a> {
    /// # Errors
    /// If the library has no compiler.
    pub(crate) fn new(library: &'a Library) -> Result<Self, String> {
        let mut object = ptr::null_mut();
        // SAFETY: the function is the library's documented entry; the identifiers live until it returns.
        let code = unsafe {
            let create: libloading::Symbol<'_, CreateInstance> =
                library.0.get(b"DxcCreateInstance\0").map_err(|e| e.to_string())?;
            create(&raw const CLSID_COMPILER, &raw const IID_COMPILER_3, &raw mut object)
        };
        if code != 0 || object.is_null() {
            return Err(format!("DxcCreateInstance: {code:#x}"));
        }
        Ok(Self { object: Object(object), _library: library })
    }

    /// Compiles an entry point `main`; the lines of warnings.
    ///
    /// # Errors
    /// With what the compiler says, if it refuses.
    pub(crate) fn compile(&self, text: &str, level: &str) -> Result<Vec<String>, String> {
        let arguments = ["-E", "main", "-T", "cs_6_2", "-enable-16bit-types", "-HV", "2018", "-Ges", level];
        let arguments: Vec<Vec<Wide>> = arguments.iter().map(|argument| wide(argument)).collect();
        let pointers: Vec<*const Wide> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        let count = u32::try_from(pointers.len()).map_err(|e| e.to_string())?;
        let buffer = Buffer { text: text.as_ptr(), length: text.len(), encoding: UTF8 };
        let mut result = ptr::null_mut();
        // SAFETY: the first own method of IDxcCompiler3 is Compile; all that is pointed to lives until it returns.
        let code = unsafe {
            self.object.method::<Compile>(FIRST)(
                self.object.0,
                &raw const buffer,
                pointers.as_ptr(),
                count,
                ptr::null_mut(),
                &raw const IID_RESULT,
                &raw mut result,
            )
        };
        if code != 0 || result.is_null() {
            return Err(format!("IDxcCompiler3::Compile: {code:#x}"));
        }
        outcome(&Object(result))
    }
}

/// Warnings, or what is wrong.
fn outcome(result: &Object) -> Result<Vec<String>, String> {
    let (mut status, mut blob) = (0, ptr::null_mut());
    // SAFETY: the own methods of IDxcOperationResult are GetStatus, GetResult and GetErrorBuffer.
    let codes = unsafe {
        [
            result.method::<GetStatus>(FIRST)(result.0, &raw mut status),
            result.method::<GetBlob>(FIRST + 2)(result.0, &raw mut blob),
        ]
    };
    if codes != [0, 0] {
        return Err(format!("IDxcResult: {codes:x?}"));
    }
    let blob = Object(blob);
    let text = if blob.0.is_null() { String::new() } else { text_of(&blob) };
    if status != 0 {
        return Err(text);
    }
    Ok(text.lines().filter_map(|line| Some(line.split_once("warning: ")?.1.to_owned())).collect())
}

fn text_of(blob: &Object) -> String {
    // SAFETY: the own methods of IDxcBlob are GetBufferPointer and GetBufferSize; the bytes live as long as the blob.
    let bytes = unsafe {
        let pointer = blob.method::<GetPointer>(FIRST)(blob.0);
        let length = blob.method::<GetSize>(FIRST + 1)(blob.0);
        if pointer.is_null() { &[] } else { std::slice::from_raw_parts(pointer, length) }
    };
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

/// With a zero at the end.
fn wide(text: &str) -> Vec<Wide> {
    #[cfg(windows)]
    let units = text.encode_utf16();
    #[cfg(not(windows))]
    let units = text.chars().map(u32::from);
    units.chain([0]).collect()
}
