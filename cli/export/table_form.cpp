#include "cli/export/table_form.hpp"

#include <array>
#include <fmt/format.h>
#include <utility>

namespace gristmill::cli::flat {
namespace {

using enum TableForm;

constexpr std::array<std::pair<std::string_view, TableForm>, 4> suffixes{
    {{".csv", csv}, {".tsv", tsv}, {".jsonl", jsonl}, {".ndjson", jsonl}}};

std::string_view without_packing(std::string_view name) {
  for (const std::string_view suffix : {".gz", ".zst"})
    if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
  return name;
}

} // namespace

std::optional<TableForm> table_form_named(std::string_view name) {
  if (name == "csv") return csv;
  if (name == "tsv") return tsv;
  if (name == "jsonl") return jsonl;
  return std::nullopt;
}

Result<TableForm> table_form_of(std::string_view format, std::string_view output) {
  if (!format.empty()) {
    if (const auto form = table_form_named(format)) return *form;
    return fail(ErrorCode::usage,
                fmt::format("--format: expected {}, got \"{}\"", table_forms, format));
  }
  if (output_form(output) == OutputForm::stream) return csv;
  for (const auto& [suffix, form] : suffixes)
    if (without_packing(output).ends_with(suffix)) return form;
  return fail(ErrorCode::usage,
              fmt::format("-o: expected a name that ends in .csv, .tsv or .jsonl, and perhaps .gz "
                          "or .zst behind it, got {}: name the form with --format",
                          output));
}

} // namespace gristmill::cli::flat
