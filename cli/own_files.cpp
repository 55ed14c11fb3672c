#include "cli/own_files.hpp"

#include "coordinator/disk/file_reader.hpp"
#include "coordinator/disk/state_directory.hpp"
#include "coordinator/inputs/finder.hpp"
#include "coordinator/journal/mark.hpp"
#include "coordinator/result/merge_files.hpp"
#include "coordinator/result/product_files.hpp"
#include "protocol/job/output_form.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <glob.h>
#include <map>
#include <memory>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;
using coordinator::open_file;

tl::unexpected<Error> refused(std::string sentence) {
  return fail(ErrorCode::usage, std::move(sentence));
}

std::pair<dev_t, ino_t> id_of(const struct stat& about) {
  return {about.st_dev, about.st_ino};
}

std::string normal(const std::string& path) {
  return fs::absolute(path).lexically_normal().string();
}

// What a file holds at its beginning, unpacked; nothing of one that cannot be read.
std::string head_of(const std::string& path) {
  auto file = open_file(path, O_RDONLY | O_NONBLOCK);
  return file ? coordinator::head_of(coordinator::FileReader{std::move(*file)}) : std::string{};
}

// Whether a file may be what begins with this mark: a part may have been cut anywhere.
bool begins(const std::string& path, std::string_view mark) {
  const std::string head = head_of(path);
  return head.starts_with(mark) || mark.starts_with(head);
}

bool is_empty(const std::string& path) {
  std::error_code error;
  return fs::file_size(path, error) == 0 && !error;
}

// What a run keeps in its state directory, known by its name and by how it begins. A coordinator's
// has more, and is not a run's to remove. What SQLite keeps beside a journal goes with it.
bool is_of_a_run(const std::string& directory, const std::string& name) {
  const std::string path = directory + "/" + name;
  std::string_view whole = name;
  for (const std::string_view suffix : {".part", ".draft"})
    if (whole.ends_with(suffix)) whole.remove_suffix(suffix.size());
  if (whole == "results.durable") return begins(path, "{\"segments\":[");
  if (whole == "inputs.jsonl") return begins(path, "{\"path\":");
  if (whole == "printed") return begins(path, "{\"file\":");
  if (whole == "summary.json") return begins(path, "{\n  \"job\": \"job-");
  if (whole.size() != name.size()) return false;
  if (coordinator::is_segment_name(name)) return begins(path, "{\"id\":\"batch_req_");
  // These have no name while they are used, and nothing in them before.
  if (name == "merge.index" || (name.starts_with("scratch-") && name.size() == 14))
    return is_empty(path);
  constexpr std::array journal{"journal.db", "journal.db-wal", "journal.db-shm",
                               "journal.db-journal", coordinator::lock_file_name};
  return std::ranges::find(journal, name) != journal.end();
}

Result<> remove_one(const std::string& path) {
  std::error_code error;
  if (fs::remove(path, error); !error) return {};
  return fail(ErrorCode::io, fmt::format("remove {}: {}", path, error.message()));
}

bool lies_in(const fs::path& file, const std::string& directory) {
  std::error_code error;
  for (fs::path at = fs::weakly_canonical(file, error).parent_path(); at.has_relative_path();
       at = at.parent_path())
    if (fs::equivalent(at, directory, error)) return true;
  return false;
}

std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t matches{};
  const int failed = ::glob(pattern.c_str(), 0, nullptr, &matches);
  const std::unique_ptr<glob_t, void (*)(glob_t*)> freed{&matches, ::globfree};
  if (failed != 0) return {};
  return {matches.gl_pathv, matches.gl_pathv + matches.gl_pathc};
}

} // namespace

OwnFiles::OwnFiles(std::string output, std::string state)
    : output_{std::move(output)}, state_{std::move(state)} {
  using Kind = File::Kind;
  const auto add = [this](const std::string& path, Kind kind) {
    files_.push_back({path, kind});
    files_.push_back({path + ".part", kind});
  };
  const OutputForm form = output_form(output_);
  if (form != OutputForm::stream) {
    add(output_, form == OutputForm::npy ? Kind::array : Kind::lines);
    add(output_ + ".summary.json", Kind::summary);
  }
  if (form == OutputForm::npy) add(coordinator::ids_path_of(output_), Kind::ids);
  if (!state_.empty()) add(state_ + ".stdin", Kind::spool);
}

OwnFiles OwnFiles::of_table(const std::string& output, std::string_view beginning) {
  OwnFiles own;
  own.output_ = output;
  own.beginning_ = beginning;
  if (output_form(output) != OutputForm::stream)
    own.files_ = {{output, File::Kind::table}, {output + ".part", File::Kind::table}};
  return own;
}

std::vector<std::string> OwnFiles::places() const {
  std::vector<std::string> places;
  for (const File& file : files_) places.push_back(file.path);
  std::error_code error;
  if (state_.empty()) return places;
  for (fs::recursive_directory_iterator entry{state_, error}, end; !error && entry != end;
       entry.increment(error))
    places.push_back(entry->path().string());
  return places;
}

OwnFiles::Ours OwnFiles::ours() const {
  Ours ours;
  for (const std::string& place : places()) {
    struct stat about {};
    ours.paths.emplace(normal(place), place);
    if (::stat(place.c_str(), &about) == 0 && !S_ISDIR(about.st_mode))
      ours.ids.emplace(id_of(about), place);
  }
  // What is appended to an input becomes its next lines.
  struct stat printed {};
  if (output_form(output_) == OutputForm::stream && ::fstat(STDOUT_FILENO, &printed) == 0 &&
      S_ISREG(printed.st_mode))
    ours.ids.emplace(id_of(printed), "standard output");
  return ours;
}

// "-" is the file behind standard input.
const std::string* OwnFiles::found_in(const Ours& ours, const std::string& path) {
  struct stat about {};
  const bool standard = path == "-";
  const bool there =
      standard ? ::fstat(STDIN_FILENO, &about) == 0 : ::stat(path.c_str(), &about) == 0;
  if (!there || S_ISDIR(about.st_mode)) return nullptr;
  if (const auto same = ours.ids.find(id_of(about)); same != ours.ids.end()) return &same->second;
  const auto named = standard ? ours.paths.end() : ours.paths.find(normal(path));
  return named == ours.paths.end() ? nullptr : &named->second;
}

Result<> OwnFiles::refuse_inputs(const std::vector<InputSpec>& inputs) const {
  const Ours ours = this->ours();
  for (const InputSpec& input : inputs)
    if (const std::string* own = found_in(ours, input.path))
      return refused(fmt::format("INPUT {}: expected a file that this command does not write, got "
                                 "{}, which it would replace or remove: give another {}",
                                 input.name, *own,
                                 state_.empty() ? "-o" : "-o, or another --state"));
  return {};
}

Result<> OwnFiles::refuse_options(const std::vector<NamedFile>& files) const {
  const Ours ours = this->ours();
  for (const NamedFile& file : files)
    if (const std::string* own = file.path.empty() ? nullptr : found_in(ours, file.path))
      return refused(fmt::format("{}: expected a file that this command does not write, got {}, "
                                 "which it would replace or remove: give another {}, or move the "
                                 "file elsewhere",
                                 file.option, *own, state_.empty() ? "-o" : "-o or --state"));
  return {};
}

Result<> OwnFiles::refuse_output_among(const std::vector<std::string>& names) const {
  std::error_code error;
  if (!fs::exists(output_, error)) return {};
  for (const std::string& name : names) {
    std::vector<std::string> found{name};
    if (coordinator::is_pattern(name) && !fs::exists(fs::symlink_status(name, error)))
      found = matches_of(name);
    for (const std::string& file : found)
      if (fs::is_directory(file, error) ? lies_in(output_, file)
                                        : fs::equivalent(file, output_, error))
        return refused(fmt::format("-o: expected no file that may be an input of INPUT {}, {} is "
                                   "there already and no job whose state is in {} wrote it: give "
                                   "another -o",
                                   name, output_, state_));
  }
  return {};
}

Result<> OwnFiles::refuse_foreign() const {
  for (const File& file : files_) {
    struct stat about {};
    // Nothing is lost with an empty file; devices and directories are refused by whoever writes.
    const bool holds_something =
        ::stat(file.path.c_str(), &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0;
    if (!holds_something || carries_mark(file)) continue;
    if (file.kind == File::Kind::table)
      return refused(fmt::format("-o: expected a file that does not exist yet, {} does and may be "
                                 "more than a table: give another -o, or remove it first",
                                 file.path));
    return refused(fmt::format("{} exists and is nothing that Gristmill wrote, so it is not "
                               "replaced{}: give another {}, or move it away",
                               file.path, state_.empty() ? "" : ", not with --restart either",
                               file.kind == File::Kind::spool ? "--state" : "-o"));
  }
  return {};
}

// A part may have been cut anywhere.
bool OwnFiles::carries_mark(const File& file) const {
  const std::string head = head_of(file.path);
  switch (file.kind) {
  case File::Kind::lines: return coordinator::begins_as_result(head);
  case File::Kind::ids: return coordinator::begins_as_row_names(head);
  case File::Kind::summary: return coordinator::begins_as_summary(head);
  case File::Kind::array:
    return head.starts_with("\x93NUMPY") &&
           (file.path.ends_with(".part") ||
            carries_mark({coordinator::ids_path_of(file.path), File::Kind::ids}));
  case File::Kind::table: return file.path != output_ && head.starts_with(beginning_);
  case File::Kind::spool: break;
  }
  struct stat about {};
  return ::lstat(file.path.c_str(), &about) == 0 && S_ISREG(about.st_mode) &&
         about.st_uid == ::geteuid() && (about.st_mode & 077) == 0;
}

Result<> OwnFiles::remove() const {
  GRISTMILL_TRY(refuse_foreign());
  GRISTMILL_TRY(remove_state());
  for (const File& file : files_)
    if (file.kind != File::Kind::spool) GRISTMILL_TRY(remove_one(file.path));
  return {};
}

// The journal goes last: what a kill leaves is a state directory still.
Result<> OwnFiles::remove_state() const {
  std::error_code error;
  if (!fs::exists(state_, error)) return {};
  const auto ours = coordinator::take_state_directory(state_);
  GRISTMILL_TRY(ours);
  std::vector<std::string> found;
  for (fs::directory_iterator entry{state_, error}, end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const auto is_it = [&](const File& file) {
      std::error_code ignored;
      return fs::equivalent(file.path, entry->path(), ignored);
    };
    if (std::ranges::any_of(files_, is_it)) continue; // OUTPUT lies in it
    if (entry->is_directory(error) || !is_of_a_run(state_, name))
      return refused(fmt::format("--restart: expected only what a run leaves in {}, it holds {} "
                                 "too: move that away, or choose another with --state",
                                 state_, name));
    if (name != coordinator::lock_file_name) found.push_back(entry->path().string());
  }
  if (error) return fail(ErrorCode::io, fmt::format("reading {}: {}", state_, error.message()));
  const auto is_journal = [](const std::string& path) {
    return fs::path{path}.filename() == coordinator::journal_file_name;
  };
  std::ranges::stable_partition(found, [&](const std::string& path) { return !is_journal(path); });
  for (const std::string& path : found) GRISTMILL_TRY(remove_one(path));
  return {};
}

} // namespace gristmill::cli
