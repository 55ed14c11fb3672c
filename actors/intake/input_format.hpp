// What an input is: by the suffix of its name (of the name inside, if it ends in .gz or .zst), else
// by its first bytes. A name that says nothing and a content that says nothing make a text
// document.
#pragma once

#include "protocol/job/spec.hpp"

#include <string_view>

namespace gristmill::intake {

inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

struct InputFormat {
  enum class Shape : std::uint8_t {
    lines,    // one JSON object a line
    table,    // CSV or TSV with a header
    document, // one text
    texts,    // one text a line
    refused,  // none of these: an error in one line, not one for each of its "lines"
  };
  Shape shape = Shape::document;
  ItemKind kind = ItemKind::text; // of its items
  char separator = ',';           // of a table
  std::string_view why_refused;   // what was expected, what came, what to do
};

// `head` is how the input begins: 64 KiB, or all of it. `form`: as the job's user says.
InputFormat format_of(std::string_view name, std::string_view head,
                      InputForm form = InputForm::automatic);

// Whether a file of that name is taken when a directory is walked.
bool has_known_suffix(std::string_view name);

std::string_view without_mark(std::string_view text); // less the byte order mark
bool is_blank(std::string_view line);

// Why a text that begins so is none in UTF-8, as a sentence; empty = it may be one. By a byte order
// mark, or by the zeros that another encoding puts between the letters of ours.
std::string_view why_other_encoding(std::string_view head);

} // namespace gristmill::intake
