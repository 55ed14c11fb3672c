#include "coordinator/merge_files.hpp"

#include "coordinator/state_directory.hpp"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t open_segments_max = 32; // a job of many restarts has many segments

} // namespace

Result<std::unique_ptr<DiskMergeFiles>> DiskMergeFiles::open(MergeFilesOptions options) {
  auto index = PlaceIndex::create(options.work_directory + "/merge.index");
  if (!index) return tl::unexpected{index.error()};
  auto output = PartFile::create(options.output, options.calls);
  if (!output) return tl::unexpected{output.error()};
  return std::unique_ptr<DiskMergeFiles>{
      new DiskMergeFiles{std::move(options), std::move(*index), std::move(*output)}};
}

DiskMergeFiles::DiskMergeFiles(MergeFilesOptions options, PlaceIndex index,
                               std::unique_ptr<PartFile> output)
    : options_{std::move(options)}, index_{std::move(index)}, output_{std::move(output)} {}

Result<int> DiskMergeFiles::descriptor_of(std::size_t segment) {
  if (const auto found = open_.find(segment); found != open_.end()) return found->second.get();
  if (open_.size() == open_segments_max) open_.clear();
  const std::string& path = options_.segments.at(segment).path;
  FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file) return tl::unexpected{disk_error("open", path)};
  return open_.emplace(segment, std::move(file)).first->second.get();
}

Result<> DiskMergeFiles::read(std::size_t segment, std::uint64_t offset, std::span<char> into) {
  const auto file = descriptor_of(segment);
  if (!file) return tl::unexpected{file.error()};
  const journal::Segment& from = options_.segments[segment];
  while (!into.empty()) {
    const ssize_t size = ::pread(*file, into.data(), into.size(), static_cast<off_t>(offset));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return tl::unexpected{disk_error("read", from.path)};
    if (size == 0)
      return fail(
          ErrorCode::io,
          fmt::format("expected {} bytes in {}, got {}: the disk lost acknowledged data, or "
                      "somebody changed the file; restore it",
                      from.bytes, from.path, offset));
    offset += static_cast<std::uint64_t>(size);
    into = into.subspan(static_cast<std::size_t>(size));
  }
  return {};
}

Result<> DiskMergeFiles::write(std::string_view bytes) {
  for (auto at = bytes.find('\n'); at != bytes.npos; at = bytes.find('\n', at + 1)) ++lines_;
  return output_->append(bytes);
}

Result<merger::FinalFile> DiskMergeFiles::finish() {
  if (auto finished = output_->finish(); !finished) return tl::unexpected{finished.error()};
  return merger::FinalFile{options_.output, output_->sha256(), output_->bytes(), lines_};
}

Result<> DiskMergeFiles::write_summary(std::string_view json) {
  auto file = PartFile::create(options_.output + ".summary.json", options_.calls);
  if (!file) return tl::unexpected{file.error()};
  if (auto written = (*file)->append(json); !written) return written;
  return (*file)->finish();
}

} // namespace gristmill::coordinator
