#include "coordinator/segment_writer.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t write_bytes = 1u << 20; // lines are gathered up to this before a write

std::string segment_name(std::uint32_t number) {
  return fmt::format("results-{:06}.jsonl", number);
}

Result<> cut_tail(const std::string& path, std::uint64_t journaled) {
  struct stat info {};
  const bool missing = ::stat(path.c_str(), &info) != 0;
  if (missing && errno != ENOENT) return tl::unexpected{disk_error("stat", path)};
  const auto bytes = missing ? 0 : static_cast<std::uint64_t>(info.st_size);
  if (bytes < journaled)
    return fail(ErrorCode::io,
                fmt::format("segment {} has {} bytes, the journal knows {}: the disk lost "
                            "acknowledged data, or somebody changed the file; restore it",
                            path, bytes, journaled));
  if (bytes > journaled && ::truncate(path.c_str(), static_cast<off_t>(journaled)) != 0)
    return tl::unexpected{disk_error("truncate", path)};
  return {};
}

} // namespace

SegmentWriter::SegmentWriter(std::string state_directory, std::uint64_t segment_bytes,
                             DiskCalls calls)
    : state_directory_{std::move(state_directory)}, segment_bytes_{segment_bytes}, calls_{std::move(
                                                                                       calls)} {}

std::string segment_path(const std::string& state_directory, const std::string& job_directory,
                         std::uint32_t number) {
  return (fs::path{state_directory} / job_directory / segment_name(number)).string();
}

bool is_segment_name(std::string_view name) {
  constexpr std::string_view prefix = "results-";
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  std::uint32_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return fmt::format("{}{}", prefix, name) == segment_name(number);
}

std::string SegmentWriter::place_of(const std::string& directory) const {
  return directory.empty() ? state_directory_ : state_directory_ + "/" + directory;
}

Result<> SegmentWriter::recover(const std::vector<JobSegments>& jobs) {
  std::set<std::string> directories;
  for (const JobSegments& known : jobs) {
    add_job(known.job, known.directory);
    Job& job = jobs_.at(known.job);
    directories.insert(job.directory);
    for (const auto& [number, bytes] : known.bytes) {
      const std::string path = job.directory + "/" + segment_name(number);
      if (auto cut = cut_tail(path, bytes); !cut) return cut;
      job.durable.push_back({path, bytes});
      auto& last = last_number_[job.directory];
      last = std::max(last, number);
    }
    if (!job.durable.empty()) unpublished_.push_back(known.job);
  }
  for (const std::string& directory : directories)
    if (auto removed = remove_unknown(directory); !removed) return removed;
  return remove_forgotten(directories);
}

// A job may have been forgotten just before a crash: then its directory is nobody's.
Result<> SegmentWriter::remove_forgotten(const std::set<std::string>& known) {
  const std::string jobs = state_directory_ + "/jobs";
  std::error_code error;
  if (!fs::exists(jobs, error)) return {};
  for (fs::directory_iterator entry{jobs, error}, end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool is_job = name.find_first_not_of("0123456789") == std::string::npos;
    if (is_job && !known.contains(jobs + "/" + name)) fs::remove_all(entry->path(), error);
  }
  if (error) return fail(ErrorCode::io, fmt::format("tidying {}: {}", jobs, error.message()));
  return {};
}

// A life that died in its first group of a segment leaves a file that the journal never heard of.
Result<> SegmentWriter::remove_unknown(const std::string& directory) {
  std::set<std::string> known;
  for (const auto& [id, job] : jobs_)
    for (const journal::Segment& segment : job.durable) known.insert(segment.path);
  std::error_code error;
  if (!fs::exists(directory, error)) return {};
  for (fs::directory_iterator entry{directory, error}, end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string(), path = directory + "/" + name;
    if (!is_segment_name(name) || known.contains(path)) continue;
    if (calls_.unlink(path.c_str()) != 0) return tl::unexpected{disk_error("unlink", path)};
  }
  if (error) return fail(ErrorCode::io, fmt::format("reading {}: {}", directory, error.message()));
  return {};
}

void SegmentWriter::add_job(JobId job, const std::string& directory) {
  const std::lock_guard guard{mutex_};
  jobs_[job].directory = place_of(directory);
}

void SegmentWriter::end_job(JobId job) {
  if (const auto found = jobs_.find(job); found != jobs_.end()) found->second.file = {};
}

Result<> SegmentWriter::forget_job(JobId id) {
  const std::lock_guard guard{mutex_};
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return {};
  std::erase(unpublished_, id);
  std::error_code error;
  if (found->second.directory != state_directory_) {
    fs::remove_all(found->second.directory, error);
  } else {
    for (const journal::Segment& segment : found->second.durable) fs::remove(segment.path, error);
  }
  if (error)
    return fail(ErrorCode::io,
                fmt::format("removing {}: {}", found->second.directory, error.message()));
  jobs_.erase(found);
  return {};
}

Result<> SegmentWriter::begin_segment(Job& job) {
  if (job.file)
    if (auto closed = close_file(std::move(job.file), job.path, calls_); !closed) return closed;
  if (auto made = make_directory(job.directory, calls_); !made) return made;
  job.number = last_number_[job.directory] + 1;
  job.path = job.directory + "/" + segment_name(job.number);
  auto created = open_file(job.path, O_WRONLY | O_CREAT | O_EXCL, 0600, calls_);
  if (!created) return tl::unexpected{created.error()};
  job.file = std::move(*created);
  last_number_[job.directory] = job.number;
  job.kept = job.written = 0;
  return sync_directory(job.directory, calls_);
}

Result<SegmentRange> SegmentWriter::append(JobId id,
                                           const std::vector<const journal::ResultLine*>& lines) {
  if (lines.empty()) return SegmentRange{};
  const auto found = jobs_.find(id);
  if (found == jobs_.end())
    return fail(
        ErrorCode::internal,
        fmt::format("expected a line of a job in the journal, got one of {}", to_string(id)));
  Job& job = found->second;
  if (!job.file || job.written >= segment_bytes_)
    if (auto begun = begin_segment(job); !begun) return tl::unexpected{begun.error()};

  job.touched = true;
  SegmentRange range{job.number, job.written, job.written};
  std::string gathered;
  for (const journal::ResultLine* line : lines) {
    gathered += line->line;
    gathered += '\n';
    if (gathered.size() < write_bytes && line != lines.back()) continue;
    if (auto written = write(job, gathered); !written) return tl::unexpected{written.error()};
    gathered.clear();
  }
  range.to = job.written;
  return range;
}

Result<> SegmentWriter::write(Job& job, std::string_view bytes) {
  if (auto done = write_all_at(job.file, job.written, bytes, job.path, calls_); !done) return done;
  job.written += bytes.size();
  return {};
}

Result<> SegmentWriter::sync() {
  for (auto& [id, job] : jobs_)
    if (job.touched)
      if (auto synced = sync_data(job.file, job.path, calls_); !synced) return synced;
  return {};
}

void SegmentWriter::keep() {
  const std::lock_guard guard{mutex_};
  for (auto& [id, job] : jobs_) {
    if (!std::exchange(job.touched, false)) continue;
    if (job.kept == 0) job.durable.push_back({job.path, 0});
    job.kept = job.durable.back().bytes = job.written;
    if (std::ranges::find(unpublished_, id) == unpublished_.end()) unpublished_.push_back(id);
  }
}

Result<> SegmentWriter::take_back() {
  for (auto& [id, job] : jobs_) {
    if (!std::exchange(job.touched, false)) continue;
    if (::ftruncate(job.file.get(), static_cast<off_t>(job.kept)) != 0)
      return fail(ErrorCode::io, disk_error("truncate", job.path).message);
    job.written = job.kept;
  }
  return {};
}

void SegmentWriter::publish() {
  for (const JobId id : std::exchange(unpublished_, {})) {
    const Job& job = jobs_.at(id);
    std::string text;
    for (const journal::Segment& segment : job.durable)
      text += fmt::format(R"({}{{"file":"{}","bytes":{}}})", text.empty() ? "" : ",",
                          fs::path{segment.path}.filename().string(), segment.bytes);
    text = fmt::format("{{\"segments\":[{}]}}\n", text);
    // Readers lose nothing but freshness when this fails, so it is tried again with the next group.
    const std::string path = job.directory + "/results.durable", draft = path + ".draft";
    const auto file = open_file(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, calls_);
    if (file && write_all_at(*file, 0, text, draft, calls_))
      static_cast<void>(rename_file(draft, path, calls_));
  }
}

Result<std::vector<journal::Segment>> SegmentWriter::durable(JobId job) const {
  const std::lock_guard guard{mutex_};
  const auto found = jobs_.find(job);
  if (found == jobs_.end())
    return fail(ErrorCode::not_found, fmt::format("the journal knows no {}", to_string(job)));
  return found->second.durable;
}

} // namespace gristmill::coordinator
