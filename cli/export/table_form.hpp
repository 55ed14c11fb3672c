// TABLE FORM: what a flat table is written as, told by an option or by the name of its file.
#pragma once

#include "protocol/job/output_form.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace gristmill::cli::flat {

enum class TableForm : std::uint8_t { csv, tsv, jsonl };
inline constexpr std::string_view table_forms = "csv, tsv or jsonl";

std::optional<TableForm> table_form_named(std::string_view name);

// `format` empty: by the name of `output`, to whose end .gz or .zst may be added, and csv on
// standard output. Errors (usage) are whole sentences.
Result<TableForm> table_form_of(std::string_view format, std::string_view output);

} // namespace gristmill::cli::flat
