#include "coordinator/result/merge_files.hpp"

namespace gristmill::coordinator {
namespace {

Result<> create(std::unique_ptr<PartFile>& file, const std::string& path,
                const MergeFilesOptions& options, OutputForm form = OutputForm::lines) {
  auto created = PartFile::create(path, {form, options.readers, options.calls});
  GRISTMILL_TRY(created);
  file = std::move(*created);
  return {};
}

} // namespace

std::string ids_path_of(const std::string& array) {
  constexpr std::string_view suffix = ".npy";
  return array.substr(0, array.size() - suffix.size()) + ".ids.jsonl";
}

Result<std::unique_ptr<DiskMergeFiles>> DiskMergeFiles::open(MergeFilesOptions options) {
  auto index = PlaceIndex::create(options.work_directory + "/merge.index");
  GRISTMILL_TRY(index);
  const OutputForm form = output_form(options.output);
  std::unique_ptr<PartFile> output, ids;
  if (form != OutputForm::stream) GRISTMILL_TRY(create(output, options.output, options, form));
  if (form == OutputForm::npy) GRISTMILL_TRY(create(ids, ids_path_of(options.output), options));
  return std::unique_ptr<DiskMergeFiles>{
      new DiskMergeFiles{std::move(options), std::move(*index), std::move(output), std::move(ids)}};
}

DiskMergeFiles::DiskMergeFiles(MergeFilesOptions options, PlaceIndex index,
                               std::unique_ptr<PartFile> output, std::unique_ptr<PartFile> ids)
    : options_{std::move(options)}, index_{std::move(index)}, output_{std::move(output)},
      ids_{std::move(ids)} {}

Result<> DiskMergeFiles::write(std::string_view bytes) {
  if (output_) return output_->append(bytes);
  streamed_bytes_ += bytes.size();
  return {};
}

// Whoever sees an array finds its rows' names.
Result<merger::FinalFile> DiskMergeFiles::finish() {
  merger::FinalFile file{options_.output, "", streamed_bytes_, 0, ""};
  if (ids_) {
    GRISTMILL_TRY(ids_->finish());
    file.ids = ids_path_of(options_.output);
  }
  if (output_) {
    GRISTMILL_TRY(output_->finish());
    file.sha256 = output_->sha256();
    file.bytes = output_->bytes();
  }
  return file;
}

Result<> DiskMergeFiles::write_summary(std::string_view json) {
  std::unique_ptr<PartFile> file;
  const std::string path =
      output_ ? options_.output + ".summary.json" : options_.work_directory + "/summary.json";
  GRISTMILL_TRY(create(file, path, options_));
  GRISTMILL_TRY(file->append(json));
  return file->finish();
}

} // namespace gristmill::coordinator
