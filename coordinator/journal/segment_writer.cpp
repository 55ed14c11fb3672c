#include "coordinator/journal/segment_writer.hpp"

#include "coordinator/disk/state_directory.hpp"
#include "coordinator/journal/mark.hpp"

#include <algorithm>
#include <cerrno>
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
                             DiskCalls calls, std::shared_ptr<SharedAnswers> bodies)
    : state_directory_{std::move(state_directory)},
      segment_bytes_{segment_bytes}, calls_{std::move(calls)}, bodies_{std::move(bodies)} {}

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
    GRISTMILL_TRY(recover(job.results, job.directory, known.results));
    GRISTMILL_TRY(recover(job.parts, job.directory, known.parts));
    if (!job.results.durable.empty() && !std::exchange(job.unpublished, true))
      unpublished_.push_back(known.job);
  }
  for (const std::string& directory : directories) GRISTMILL_TRY(remove_unknown(directory));
  return find_forgotten(directories);
}

Result<> SegmentWriter::recover(Stream& stream, const std::string& directory,
                                const std::map<std::uint32_t, StoredSegment>& known) {
  for (const auto& [number, segment] : known) {
    const std::string path = segment_path(directory, number, stream.kind);
    GRISTMILL_TRY(cut_tail(path, segment.bytes));
    stream.durable.push_back(segment);
    auto& last = last_number_[{directory, stream.kind}];
    last = std::max(last, number);
  }
  return {};
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
    for (const Stream* stream : {&job.results, &job.parts})
      for (const StoredSegment& segment : stream->durable)
        known.insert(segment_path(job.directory, segment.number, stream->kind));
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
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return;
  found->second.results.file = {};
  found->second.parts.file = {};
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
    for (const Stream* stream : {&job.results, &job.parts})
      for (const StoredSegment& segment : stream->durable)
        fs::remove(segment_path(job.directory, segment.number, stream->kind), ignored);
    return {};
  }
  for (const LineKind kind : {LineKind::results, LineKind::parts})
    last_number_.erase({job.directory, kind});
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
  GRISTMILL_TRY(make_directory(parent, calls_));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return tl::unexpected{disk_error("mkdir", path)};
  new_names_.insert(parent);
  return {};
}

Result<> SegmentWriter::begin_segment(const std::string& directory, Stream& stream) {
  if (stream.file) GRISTMILL_TRY(close_file(std::move(stream.file), stream.path, calls_));
  GRISTMILL_TRY(make_job_directory(directory));
  auto& last = last_number_[{directory, stream.kind}];
  stream.number = last + 1;
  stream.path = segment_path(directory, stream.number, stream.kind);
  auto created = open_file(stream.path, O_WRONLY | O_CREAT | O_EXCL, 0600, calls_);
  GRISTMILL_TRY(created);
  stream.file = std::move(*created);
  last = stream.number;
  stream.kept = stream.written = 0;
  new_names_.insert(directory);
  return {};
}

Result<SegmentRange> SegmentWriter::append(JobId id, LineKind kind,
                                           const std::vector<std::string_view>& lines,
                                           std::uint64_t whole_bytes) {
  if (lines.empty()) return SegmentRange{};
  const auto found = jobs_.find(id);
  if (found == jobs_.end())
    return fail(
        ErrorCode::internal,
        fmt::format("expected a line of a job in the journal, got one of {}", to_string(id)));
  Stream& stream = found->second.of(kind);
  if (!stream.file || stream.written >= segment_bytes_)
    GRISTMILL_TRY(begin_segment(found->second.directory, stream));

  if (!std::exchange(stream.touched, true)) touched_.push_back({id, &stream});
  SegmentRange range{stream.number, stream.written, stream.written};
  std::string gathered;
  for (std::size_t n = 0; n < lines.size(); ++n) {
    gathered += lines[n];
    gathered += '\n';
    if (gathered.size() < write_bytes && n + 1 < lines.size()) continue;
    GRISTMILL_TRY(write_all_at(stream.file, stream.written, gathered, stream.path, calls_));
    stream.written += gathered.size();
    gathered.clear();
  }
  range.to = stream.written;
  stream.whole += whole_bytes == 0 ? range.to - range.from : whole_bytes;
  return range;
}

Result<> SegmentWriter::sync() {
  if (file_system_ && touched_.size() + new_names_.size() > few_files) {
    GRISTMILL_TRY(sync_file_system(file_system_, state_directory_, calls_));
    new_names_.clear();
    return {};
  }
  for (const Touched& touched : touched_)
    GRISTMILL_TRY(sync_data(touched.stream->file, touched.stream->path, calls_));
  for (const std::string& directory : new_names_)
    GRISTMILL_TRY(sync_directory(directory, calls_)); // no descriptor?
  new_names_.clear();
  return {};
}

void SegmentWriter::keep() {
  const std::lock_guard guard{mutex_};
  for (const auto& [id, stream] : std::exchange(touched_, {})) {
    stream->touched = false;
    if (stream->kept == 0) stream->durable.push_back({stream->number});
    stream->durable.back().grow(stream->written, std::exchange(stream->whole, 0));
    stream->kept = stream->written;
    if (stream->kind == LineKind::results && !std::exchange(jobs_.at(id).unpublished, true))
      unpublished_.push_back(id);
  }
}

Result<> SegmentWriter::take_back() {
  for (const auto& [id, stream] : std::exchange(touched_, {})) {
    stream->touched = false;
    if (::ftruncate(stream->file.get(), static_cast<off_t>(stream->kept)) != 0)
      return fail(ErrorCode::io, disk_error("truncate", stream->path).message);
    stream->written = stream->kept;
    stream->whole = 0;
  }
  return {};
}

void SegmentWriter::publish(std::size_t most) {
  for (; most > 0 && !unpublished_.empty(); --most) {
    Job& job = jobs_.at(unpublished_.front());
    unpublished_.pop_front();
    job.unpublished = false;
    std::string text;
    for (const StoredSegment& segment : job.results.durable)
      text += fmt::format(R"({}{{"file":"{}","bytes":{}}})", text.empty() ? "" : ",",
                          segment_name(segment.number), segment.bytes);
    text = fmt::format("{{\"segments\":[{}]}}\n", text);
    // Readers lose nothing but freshness when this fails, so it is tried again with the next group.
    const std::string path = job.directory + "/results.durable", draft = path + ".draft";
    const auto file = open_file(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, calls_);
    if (file && write_all_at(*file, 0, text, draft))
      static_cast<void>(rename_file(draft, path, calls_));
  }
}

std::string SegmentWriter::path_of(JobId job, LineKind kind, std::uint32_t number) const {
  const std::lock_guard guard{mutex_};
  const auto found = jobs_.find(job);
  return found == jobs_.end() ? "" : segment_path(found->second.directory, number, kind);
}

Result<std::shared_ptr<SegmentFiles>> SegmentWriter::durable(JobId job, LineKind kind) const {
  const std::lock_guard guard{mutex_};
  const auto found = jobs_.find(job);
  if (found == jobs_.end())
    return fail(ErrorCode::not_found, fmt::format("the journal knows no {}", to_string(job)));
  const Job& of_job = found->second;
  const Stream& lines = kind == LineKind::results ? of_job.results : of_job.parts;
  return std::make_shared<SegmentFiles>(of_job.directory, lines.durable, kind, bodies_);
}

} // namespace gristmill::coordinator
