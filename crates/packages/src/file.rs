//! One data file: written record by record, and read again.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder},
};
use arrow_schema::{DataType, Field, Schema};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::WriterProperties,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::{
    Error,
    layout::{Kind, Layout},
    row::{Cell, Row},
};

/// Rows handed to the Parquet writer at once.
const ROWS: usize = 4_096;
/// Bytes of a row group in memory before it is written out.
const GROUP_BYTES: usize = 16 << 20;

/// Form of data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A record on each line, as it came; line breaks between its tokens are spaces.
    Jsonl,
    /// Comma-separated values, UTF-8, quoted where it has to be, with a header.
    Csv,
    /// Parquet, compressed with snappy.
    Parquet,
}

impl Format {
    /// The ending of a file's name.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, as hexadecimal digits.
    pub sha256: String,
    /// Records in it.
    pub records: u64,
    /// Records that were written otherwise than they came: of [`Format::Jsonl`], those with line breaks.
    pub rewritten: u64,
}

/// Counts and hashes what goes to a file.
struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes one file.
pub struct Writer {
    path: PathBuf,
    to: To,
    records: u64,
    rewritten: u64,
}

enum To {
    Jsonl(Hashing),
    Csv(Layout, Box<csv::Writer<Hashing>>),
    Parquet(Box<Table>),
}

impl Writer {
    /// Makes a file; one that is there is written over. `layout` is that of tables.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Format`]
    pub fn create(path: PathBuf, format: Format, layout: &Layout) -> Result<Self, Error> {
        let file = File::create(&path).map_err(Error::file("write", &path))?;
        let out = Hashing { file: BufWriter::with_capacity(256 << 10, file), hash: Sha256::new(), bytes: 0 };
        let to = match format {
            Format::Jsonl => To::Jsonl(out),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(layout.names()).map_err(failed(&path))?;
                To::Csv(layout.clone(), Box::new(writer))
            }
            Format::Parquet => To::Parquet(Box::new(Table::new(layout, out).map_err(failed(&path))?)),
        };
        Ok(Self { path, to, records: 0, rewritten: 0 })
    }

    /// Writes a record.
    ///
    /// # Errors
    ///
    /// [`Error::NotARecord`], [`Error::File`], [`Error::Format`]
    pub fn put(&mut self, payload: &[u8]) -> Result<(), Error> {
        let not_a_record = |_| Error::NotARecord(self.records);
        match &mut self.to {
            To::Jsonl(out) => {
                let written = if payload.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
                    self.rewritten += 1;
                    // In JSON they stand between tokens only.
                    let line: Vec<u8> =
                        payload.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
                    out.write_all(&line)
                } else {
                    out.write_all(payload)
                };
                written.and_then(|()| out.write_all(b"\n")).map_err(Error::file("write", &self.path))?;
            }
            To::Csv(layout, writer) => {
                let row = Row::of(payload, layout, false).map_err(not_a_record)?;
                let mut line = csv::StringRecord::with_capacity(payload.len(), row.cells.len() + 2);
                for cell in &row.cells {
                    match cell {
                        Cell::Empty => line.push_field(""),
                        Cell::Text(text) => line.push_field(text),
                        Cell::Number(_, text) | Cell::Json(text) => line.push_field(text),
                        Cell::Integer(number) => line.push_field(&number.to_string()),
                        Cell::Boolean(truth) => line.push_field(if *truth { "true" } else { "false" }),
                    }
                }
                line.push_field(row.null_fields.as_deref().unwrap_or_default());
                line.push_field(row.other_values.as_deref().unwrap_or_default());
                writer.write_record(&line).map_err(failed(&self.path))?;
            }
            To::Parquet(table) => {
                let row = Row::of(payload, &table.layout, true).map_err(not_a_record)?;
                table.put(row).map_err(failed(&self.path))?;
            }
        }
        self.records += 1;
        Ok(())
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Ends the file; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Format`]
    pub fn finish(self) -> Result<Written, Error> {
        let Self { path, to, records, rewritten } = self;
        let out = match to {
            To::Jsonl(out) => out,
            To::Csv(_, writer) => writer.into_inner().map_err(failed(&path))?,
            To::Parquet(table) => table.finish().map_err(failed(&path))?,
        };
        let Hashing { file, hash, bytes } = out;
        let file = file.into_inner().map_err(|error| Error::file("write", &path)(error.into_error()))?;
        file.sync_all().map_err(Error::file("write", &path))?;
        Ok(Written { bytes, sha256: hex(&hash.finalize()), records, rewritten })
    }
}

fn failed<E: ToString>(path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |error| Error::Format { path, text: error.to_string() }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rows on their way to a Parquet file.
struct Table {
    layout: Layout,
    columns: Vec<Builder>,
    null_fields: StringBuilder,
    other_values: StringBuilder,
    rows: usize,
    schema: Arc<Schema>,
    writer: ArrowWriter<Hashing>,
}

enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Boolean(BooleanBuilder),
}

impl Builder {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Json => Self::Text(StringBuilder::new()),
            Kind::Integer => Self::Integer(Int64Builder::new()),
            Kind::Number => Self::Number(Float64Builder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
        }
    }

    fn put(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), Cell::Json(text)) => builder.append_value(text),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Integer(builder), Cell::Integer(number)) => builder.append_value(number),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Number(builder), Cell::Number(number, _)) => builder.append_value(number),
            (Self::Number(builder), _) => builder.append_null(),
            (Self::Boolean(builder), Cell::Boolean(truth)) => builder.append_value(truth),
            (Self::Boolean(builder), _) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The table's columns as Arrow has them.
fn arrow_schema(layout: &Layout) -> Schema {
    let data_type = |kind| match kind {
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Integer => DataType::Int64,
        Kind::Number => DataType::Float64,
        Kind::Boolean => DataType::Boolean,
    };
    let mut fields: Vec<Field> =
        layout.columns.iter().map(|column| Field::new(&column.name, data_type(column.kind), true)).collect();
    fields.extend([&layout.null_fields, &layout.other_values].map(|name| Field::new(name, DataType::Utf8, true)));
    Schema::new(fields)
}

impl Table {
    fn new(layout: &Layout, out: Hashing) -> parquet::errors::Result<Self> {
        let schema = Arc::new(arrow_schema(layout));
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
        Ok(Self {
            columns: layout.columns.iter().map(|column| Builder::of(column.kind)).collect(),
            layout: layout.clone(),
            null_fields: StringBuilder::new(),
            other_values: StringBuilder::new(),
            rows: 0,
            schema,
            writer,
        })
    }

    fn put(&mut self, row: Row<'_>) -> parquet::errors::Result<()> {
        for (builder, cell) in self.columns.iter_mut().zip(row.cells) {
            builder.put(cell);
        }
        self.null_fields.append_option(row.null_fields);
        self.other_values.append_option(row.other_values);
        self.rows += 1;
        if self.rows >= ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> parquet::errors::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        let mut arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Builder::finish).collect();
        arrays.push(Arc::new(self.null_fields.finish()));
        arrays.push(Arc::new(self.other_values.finish()));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        self.writer.write(&batch)?;
        if self.writer.memory_size() >= GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(())
    }

    fn finish(mut self) -> parquet::errors::Result<Hashing> {
        self.write()?;
        self.writer.into_inner()
    }
}

/// Reads every record of a file, in order.
///
/// # Errors
///
/// What is wrong with the file, in words; or what `each` says of a record.
pub fn read(
    path: &Path,
    format: Format,
    layout: &Layout,
    each: &mut dyn FnMut(Read<'_>) -> Result<(), String>,
) -> Result<(), String> {
    match format {
        Format::Jsonl => read_lines(path, each),
        Format::Csv => read_csv(path, layout, each),
        Format::Parquet => read_parquet(path, layout, each),
    }
}

/// A record that was read.
pub enum Read<'f> {
    /// As it came.
    Line(&'f [u8]),
    /// Put together from a row.
    Record(Map<String, Value>),
}

type Each<'e> = &'e mut dyn FnMut(Read<'_>) -> Result<(), String>;

fn read_lines(path: &Path, each: Each<'_>) -> Result<(), String> {
    let mut reader = BufReader::with_capacity(256 << 10, File::open(path).map_err(|error| error.to_string())?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(|error| error.to_string())? == 0 {
            return Ok(());
        }
        let record = line.strip_suffix(b"\n").ok_or("the last line does not end")?;
        each(Read::Line(record))?;
    }
}

fn read_csv(path: &Path, layout: &Layout, each: Each<'_>) -> Result<(), String> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| error.to_string())?;
    if !reader.headers().map_err(|error| error.to_string())?.iter().eq(layout.names()) {
        return Err("other columns than the manifest tells".to_owned());
    }
    let text = |cell: &str| (!cell.is_empty()).then(|| cell.to_owned());
    let mut line = csv::StringRecord::new();
    while reader.read_record(&mut line).map_err(|error| error.to_string())? {
        let count = layout.columns.len();
        let cells = layout.columns.iter().zip(&line).map(|(column, cell)| Row::read(cell, column.kind));
        let cells = cells.collect::<Option<Vec<_>>>().ok_or("a cell that does not fit its column")?;
        let (null_fields, other_values) = (line.get(count).and_then(text), line.get(count + 1).and_then(text));
        let record = Row { cells, null_fields, other_values }.record(layout).ok_or("a row that is none")?;
        each(Read::Record(record))?;
    }
    Ok(())
}

fn read_parquet(path: &Path, layout: &Layout, each: Each<'_>) -> Result<(), String> {
    let told = |error: parquet::errors::ParquetError| error.to_string();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(told)?;
    if builder.schema().fields() != arrow_schema(layout).fields() {
        return Err("other columns than the manifest tells".to_owned());
    }
    for batch in builder.with_batch_size(ROWS).build().map_err(told)? {
        let batch = batch.map_err(|error| error.to_string())?;
        for row in 0..batch.num_rows() {
            each(Read::Record(record(&batch, row, layout).ok_or("a row that is none")?))?;
        }
    }
    Ok(())
}

fn record(batch: &RecordBatch, row: usize, layout: &Layout) -> Option<Map<String, Value>> {
    let text = |at: usize| {
        let texts = batch.column(at).as_any().downcast_ref::<StringArray>()?;
        Some((!texts.is_null(row)).then(|| texts.value(row)))
    };
    let mut record = Map::new();
    for (at, column) in layout.columns.iter().enumerate() {
        let array = batch.column(at);
        if array.is_null(row) {
            continue;
        }
        let value = match column.kind {
            Kind::Text => Value::from(text(at)??),
            Kind::Json => serde_json::from_str(text(at)??).ok()?,
            Kind::Integer => Value::from(array.as_any().downcast_ref::<Int64Array>()?.value(row)),
            Kind::Number => Value::from(array.as_any().downcast_ref::<Float64Array>()?.value(row)),
            Kind::Boolean => Value::from(array.as_any().downcast_ref::<BooleanArray>()?.value(row)),
        };
        record.insert(column.name.clone(), value);
    }
    let count = layout.columns.len();
    let (null_fields, other_values) = (text(count)?.map(str::to_owned), text(count + 1)?.map(str::to_owned));
    record.extend(Row { cells: Vec::new(), null_fields, other_values }.record(layout)?);
    Some(record)
}
