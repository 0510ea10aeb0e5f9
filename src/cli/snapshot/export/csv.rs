//! Rows as lines of CSV.
//!
//! A field of a struct or of a tuple is a column of its own, named by its way there: `value.price`, `key.0`.
//! What is nothing is empty, and so is an empty text. Variants without content are their names. Lists, maps,
//! bytes, variants with content and options of structs are JSON.

use std::io::{self, Write};

use highwater::data::write_json;
use highwater::export::{Column, Type, Value};

/// Writes the names of the columns.
pub(super) fn head(columns: &[Column], out: &mut impl Write) -> io::Result<()> {
    let mut cells = Vec::new();
    columns.iter().for_each(|column| names(column.name, &column.ty, &mut cells));
    write(&cells, out)
}

/// Writes a row.
pub(super) fn row(columns: &[Column], row: &[Value], out: &mut impl Write) -> io::Result<()> {
    let mut cells = Vec::new();
    columns.iter().zip(row).try_for_each(|(column, value)| texts(&column.ty, value, &mut cells))?;
    write(&cells, out)
}

fn write(cells: &[String], out: &mut impl Write) -> io::Result<()> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells)?;
    out.write_all(&line.into_inner().map_err(|error| error.into_error())?)
}

fn names(name: &str, ty: &Type, out: &mut Vec<String>) {
    match ty {
        Type::Unit => {}
        Type::Struct(fields) => {
            fields
                .names
                .iter()
                .zip(&fields.types)
                .for_each(|(field, ty)| names(&format!("{name}.{field}"), ty, out));
        }
        Type::Tuple(types) => {
            types.iter().enumerate().for_each(|(number, ty)| names(&format!("{name}.{number}"), ty, out));
        }
        _ => out.push(name.to_owned()),
    }
}

/// As many cells as the type has names.
fn texts(ty: &Type, value: &Value, out: &mut Vec<String>) -> io::Result<()> {
    match (ty, value) {
        (Type::Unit, _) => Ok(()),
        (Type::Struct(fields), Value::Struct(_, values)) => {
            fields.types.iter().zip(values).try_for_each(|(ty, value)| texts(ty, value, out))
        }
        (Type::Tuple(types), Value::Tuple(values)) => {
            types.iter().zip(values).try_for_each(|(ty, value)| texts(ty, value, out))
        }
        (_, value) => text(value).map(|text| out.push(text)),
    }
}

fn text(value: &Value) -> io::Result<String> {
    Ok(match value {
        Value::Absent => String::new(),
        Value::Present(value) => return text(value),
        Value::Text(text) => text.to_string(),
        Value::Char(letter) => letter.to_string(),
        Value::Variant(name, None) => name.to_string(),
        Value::Float(number) if !number.is_finite() => number.to_string(),
        Value::Double(number) if !number.is_finite() => number.to_string(),
        value => {
            let mut json = Vec::new();
            write_json(value, &mut json).map_err(|reason| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{reason}, and this one is in a list or a map"),
                )
            })?;
            String::from_utf8_lossy(&json).into_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use highwater::export::Fields;

    #[test]
    fn fields_are_columns_and_lists_are_json() {
        let fields = Fields {
            names: Arc::new(vec!["x".to_owned(), "note".to_owned()]),
            types: vec![Type::F64, Type::Option(Arc::new(Type::Text))],
        };
        let names = Arc::clone(&fields.names);
        let columns = [
            Column { name: "key", ty: Type::Tuple(vec![Type::U64, Type::Unit, Type::Text].into()) },
            Column { name: "value", ty: Type::Struct(Arc::new(fields)) },
            Column { name: "sub", ty: Type::List(Arc::new(Type::I64)) },
        ];
        let mut out = Vec::new();
        head(&columns, &mut out).unwrap();
        let key = Value::Tuple(vec![Value::Natural(u64::MAX), Value::Unit, Value::Text("a, \"b\"".into())]);
        let value = Value::Struct(names, vec![Value::Double(f64::INFINITY), Value::Absent]);
        let list = Value::List(vec![Value::Integer(-1), Value::Integer(2)]);
        row(&columns, &[key, value, list], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "key.0,key.2,value.x,value.note,sub\n18446744073709551615,\"a, \"\"b\"\"\",inf,,\"[-1,2]\"\n"
        );
    }
}
