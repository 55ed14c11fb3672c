#include "cli/export/table_output.hpp"

#include "cli/run/output_place.hpp"
#include "coordinator/disk/file_io.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace gristmill::cli::flat {
namespace {

constexpr std::size_t printed_bytes = 256u << 10; // at a time

} // namespace

Result<std::unique_ptr<TableOutput>> TableOutput::open(const std::string& output,
                                                       const std::string& result,
                                                       std::string_view beginning) {
  std::unique_ptr<TableOutput> table{new TableOutput};
  const bool prints = output_form(output) == OutputForm::stream;
  const std::string place = prints ? output : written_place(output);
  const OwnFiles own = OwnFiles::of_table(place, beginning);
  GRISTMILL_TRY(own.refuse_options({{"OUT", result}}));
  GRISTMILL_TRY(own.refuse_foreign());
  if (prints) {
    table->stdout_ = coordinator::FileDescriptor{::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)};
    return table;
  }
  auto file = coordinator::PartFile::create(place, {output_form(output)});
  GRISTMILL_TRY(file);
  table->file_ = std::move(*file);
  return table;
}

Result<> TableOutput::append(std::string_view bytes) {
  if (file_) return file_->append(bytes);
  gathered_ += bytes;
  return gathered_.size() < printed_bytes ? Result<>{} : print();
}

Result<> TableOutput::finish() {
  return file_ ? file_->finish() : print();
}

Result<> TableOutput::print() {
  if (auto written = coordinator::write_all(stdout_, gathered_, "standard output"); !written)
    return fail(ErrorCode::unavailable, fmt::format("standard output did not take the whole table: "
                                                    "{}",
                                                    written.error().message));
  gathered_.clear();
  return {};
}

} // namespace gristmill::cli::flat
