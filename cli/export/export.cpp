#include "cli/export/export.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/exit_codes.hpp"
#include "cli/export/result_file.hpp"
#include "cli/export/rows.hpp"
#include "cli/export/table_output.hpp"
#include "cli/terminal/text.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <memory>

namespace gristmill::cli {
namespace {

struct ExportOptions {
  std::string result, output = "-", fields{flat::default_fields}, format, only;
};

int complain_of_export(const Error& error) {
  say(fmt::format("gristmill export: {}\n", error.message));
  const bool nowhere_to_put_it =
      error.code == ErrorCode::disk_full || error.code == ErrorCode::unavailable;
  return nowhere_to_put_it ? exit_stopped : exit_usage;
}

Result<flat::Only> only_of(const std::string& said) {
  if (said.empty()) return flat::Only::all;
  if (said == "completed") return flat::Only::completed;
  if (said == "failed") return flat::Only::failed;
  return fail(ErrorCode::usage,
              fmt::format("--only: expected completed or failed, got \"{}\"", said));
}

Result<flat::Rows> rows_of(const ExportOptions& options) {
  auto fields = flat::fields_named(options.fields);
  if (!fields) return fail(ErrorCode::usage, "--fields: " + fields.error().message);
  const auto form = flat::table_form_of(options.format, options.output);
  GRISTMILL_TRY(form);
  const auto only = only_of(options.only);
  GRISTMILL_TRY(only);
  return flat::Rows{*form, std::move(*fields), *only};
}

// To standard error, because the table may be on standard output.
void tell(const ExportOptions& options, const flat::RowCounts& counts) {
  if (options.output != "-")
    say(fmt::format("table   {}: {} row{}, {} of failed items\n", options.output,
                    grouped(counts.rows), counts.rows == 1 ? "" : "s", grouped(counts.failed)));
  if (!counts.absent.empty())
    say(fmt::format("no row has anything in {}: is it spelled as in the result?\n",
                    fmt::join(counts.absent, ", ")));
}

Result<> export_table(const ExportOptions& options) {
  auto rows = rows_of(options);
  GRISTMILL_TRY(rows);
  const auto result = flat::ResultFile::open(options.result);
  GRISTMILL_TRY(result);
  const auto table =
      flat::TableOutput::open(options.output, options.result, rows->writer().beginning());
  GRISTMILL_TRY(table);
  const auto counts =
      rows->write(**result, [&](std::string_view bytes) { return (*table)->append(bytes); });
  GRISTMILL_TRY(counts);
  GRISTMILL_TRY((*table)->finish());
  tell(options, *counts);
  return {};
}

} // namespace

void add_export(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("export", "make a flat table of a result");
  auto options = std::make_shared<ExportOptions>();
  command
      ->add_option("OUT", options->result, "a job's result, also .gz or .zst; - = standard input")
      ->required();
  command
      ->add_option("--fields", options->fields,
                   "the columns, separated by commas: custom_id, content, label and others, "
                   "content.MEMBER of JSON answers, input.FIELD of --keep, answers.MODEL, or a "
                   "JSON pointer into the lines")
      ->capture_default_str();
  command->add_option("--format", options->format,
                      "csv, tsv or jsonl [as FILE's name says; csv on standard output]");
  command->add_option("--only", options->only, "rows of items that are completed, or failed [all]");
  command
      ->add_option("-o,--output", options->output,
                   "file that does not exist yet, .csv, .tsv or .jsonl, .gz or .zst added to "
                   "compress it; - = standard output")
      ->capture_default_str();
  command->footer("Example:\n"
                  "  gristmill export answers.jsonl -o answers.csv");
  command->callback([options, &exit_code] {
    const auto done = export_table(*options);
    exit_code = done ? exit_ok : complain_of_export(done.error());
  });
}

} // namespace gristmill::cli
