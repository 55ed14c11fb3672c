#include "coordinator/result/merge_files.hpp"

namespace gristmill::coordinator {
namespace {

Result<> create(std::unique_ptr<PartFile>& file, const std::string& path,
                const MergeFilesOptions& options, OutputForm form = OutputForm::lines) {
  auto created = PartFile::create(path, {form, options.readers, options.calls});
  if (!created) return tl::unexpected{created.error()};
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
  if (!index) return tl::unexpected{index.error()};
  const OutputForm form = output_form(options.output);
  std::unique_ptr<PartFile> output, ids;
  if (form != OutputForm::stream)
    if (auto made = create(output, options.output, options, form); !made)
      return tl::unexpected{made.error()};
  if (form == OutputForm::npy)
    if (auto made = create(ids, ids_path_of(options.output), options); !made)
      return tl::unexpected{made.error()};
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
    if (auto finished = ids_->finish(); !finished) return tl::unexpected{finished.error()};
    file.ids = ids_path_of(options_.output);
  }
  if (output_) {
    if (auto finished = output_->finish(); !finished) return tl::unexpected{finished.error()};
    file.sha256 = output_->sha256();
    file.bytes = output_->bytes();
  }
  return file;
}

Result<> DiskMergeFiles::write_summary(std::string_view json) {
  std::unique_ptr<PartFile> file;
  const std::string path =
      output_ ? options_.output + ".summary.json" : options_.work_directory + "/summary.json";
  if (auto made = create(file, path, options_); !made) return made;
  if (auto written = file->append(json); !written) return written;
  return file->finish();
}

} // namespace gristmill::coordinator
