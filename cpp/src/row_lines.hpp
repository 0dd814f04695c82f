/// \file row_lines.hpp
/// Rows as they come from a backend (Arrow C data) to the lines of an archive file. Internal to the engine.
///
/// A line is one JSON object, columns in order. A value of its column's kind stands there plainly: INT, UINT and REAL as numbers (REAL in
/// its shortest form that reads back the same), BOOL as true or false, BYTES in base64, everything else as its text, NULL as null. In a
/// column of kind ANY integers, reals (always with a point or an exponent) and text are plain. Whatever else there is says what it is:
/// {"$int": n}, {"$real": n or "nan", "inf", "-inf"}, {"$text": "…"}, {"$text64": base64 of text that is no UTF-8}, {"$bytes": base64}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "purgekit/sdk/arrow_c.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit {

/// Add one line for each row. `columns` are the table's own.
/// \throws sdk::Error when the batch is not one of this table, or of a form that is not known: nothing of it can be kept
void append_lines(std::string& out, const ArrowSchema& schema, const ArrowArray& rows, const std::vector<sdk::Column>& columns);

/// A JSON string; bytes that are no UTF-8 are replaced.
std::string json_string(std::string_view text);

}  // namespace purgekit
