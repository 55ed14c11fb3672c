#include "coordinator/journal/segment_writer.hpp"

#include "coordinator/disk/state_directory.hpp"

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
constexpr std::size_t few_files = 4;          // are synced one by one

// What a forgotten job's directory is called until it is gone.
constexpr std::string_view forgotten_prefix = "forgotten-";

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
  // Before anything is written: it tells of what fails from when it was opened.
  if (whole_sync_tells_all(state_directory_))
    file_system_ =
        FileDescriptor{::open(state_directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
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
    if (!job.durable.empty() && !std::exchange(job.unpublished, true))
      unpublished_.push_back(known.job);
  }
  for (const std::string& directory : directories)
    if (auto removed = remove_unknown(directory); !removed) return removed;
  return find_forgotten(directories);
}

// A job may have been forgotten just before a crash: then its directory is nobody's.
Result<> SegmentWriter::find_forgotten(const std::set<std::string>& known) {
  const std::string jobs = state_directory_ + "/jobs";
  std::error_code error;
  if (!fs::exists(jobs, error)) return {};
  for (fs::directory_iterator entry{jobs, error}, end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool is_job = name.find_first_not_of("0123456789") == std::string::npos;
    const bool is_unknown = is_job && !known.contains(jobs + "/" + name);
    if (is_unknown || name.starts_with(forgotten_prefix)) forgotten_.push_back(entry->path());
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

// The name goes at once, the bytes when somebody has the time.
std::string SegmentWriter::forget_job(JobId id) {
  const std::lock_guard guard{mutex_};
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return {};
  const Job job = std::move(found->second);
  jobs_.erase(found);
  std::erase(unpublished_, id);
  std::error_code ignored; // whatever is left the next start finds
  if (job.directory == state_directory_) {
    for (const journal::Segment& segment : job.durable) fs::remove(segment.path, ignored);
    return {};
  }
  last_number_.erase(job.directory);
  if (!fs::exists(job.directory, ignored)) return {};
  const fs::path directory{job.directory};
  const fs::path aside = directory.parent_path() /
                         fmt::format("{}{}", forgotten_prefix, directory.filename().string());
  fs::rename(directory, aside, ignored);
  return ignored ? job.directory : aside.string();
}

// Its name becomes durable with the group, like the segment's within it: many jobs that begin
// together cost one sync.
Result<> SegmentWriter::make_job_directory(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return {};
  const std::string parent = fs::path{path}.parent_path().string();
  if (auto made = make_directory(parent, calls_); !made) return made;
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return tl::unexpected{disk_error("mkdir", path)};
  new_names_.insert(parent);
  return {};
}

Result<> SegmentWriter::begin_segment(Job& job) {
  if (job.file)
    if (auto closed = close_file(std::move(job.file), job.path, calls_); !closed) return closed;
  if (auto made = make_job_directory(job.directory); !made) return made;
  job.number = last_number_[job.directory] + 1;
  job.path = job.directory + "/" + segment_name(job.number);
  auto created = open_file(job.path, O_WRONLY | O_CREAT | O_EXCL, 0600, calls_);
  if (!created) return tl::unexpected{created.error()};
  job.file = std::move(*created);
  last_number_[job.directory] = job.number;
  job.kept = job.written = 0;
  new_names_.insert(job.directory);
  return {};
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

  if (!std::exchange(job.touched, true)) touched_.push_back(&*found);
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
  if (file_system_ && touched_.size() + new_names_.size() > few_files) {
    if (auto synced = sync_file_system(file_system_, state_directory_, calls_); !synced)
      return synced;
    new_names_.clear();
    return {};
  }
  for (const Entry* entry : touched_)
    if (auto synced = sync_data(entry->second.file, entry->second.path, calls_); !synced)
      return synced;
  for (const std::string& directory : new_names_)
    if (auto synced = sync_directory(directory, calls_); !synced) return synced; // no descriptor?
  new_names_.clear();
  return {};
}

void SegmentWriter::keep() {
  const std::lock_guard guard{mutex_};
  for (Entry* entry : std::exchange(touched_, {})) {
    auto& [id, job] = *entry;
    job.touched = false;
    if (job.kept == 0) job.durable.push_back({job.path, 0});
    job.kept = job.durable.back().bytes = job.written;
    if (!std::exchange(job.unpublished, true)) unpublished_.push_back(id);
  }
}

Result<> SegmentWriter::take_back() {
  for (Entry* entry : std::exchange(touched_, {})) {
    Job& job = entry->second;
    job.touched = false;
    if (::ftruncate(job.file.get(), static_cast<off_t>(job.kept)) != 0)
      return fail(ErrorCode::io, disk_error("truncate", job.path).message);
    job.written = job.kept;
  }
  return {};
}

void SegmentWriter::publish(std::size_t most) {
  for (; most > 0 && !unpublished_.empty(); --most) {
    Job& job = jobs_.at(unpublished_.front());
    unpublished_.pop_front();
    job.unpublished = false;
    std::string text;
    for (const journal::Segment& segment : job.durable)
      text += fmt::format(R"({}{{"file":"{}","bytes":{}}})", text.empty() ? "" : ",",
                          fs::path{segment.path}.filename().string(), segment.bytes);
    text = fmt::format("{{\"segments\":[{}]}}\n", text);
    // Readers lose nothing but freshness when this fails, so it is tried again with the next group.
    const std::string path = job.directory + "/results.durable", draft = path + ".draft";
    const auto file = open_file(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, calls_);
    if (file && write_all_at(*file, 0, text, draft))
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
