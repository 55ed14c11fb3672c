#include "coordinator/journal/check.hpp"

#include "actors/journal/commit_row.hpp"
#include "actors/kit/clock.hpp"
#include "coordinator/journal/recovery.hpp"
#include "coordinator/journal/tables.hpp"
#include "protocol/ids.hpp"
#include "protocol/openai/line/joined_line.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/result.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <map>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

using journal::EntryKind;

// What is wrong with the line of this entry; empty = nothing.
std::string fault_of(std::string_view line, const journal::ItemEntry& entry) {
  if (line.empty() || line.back() != '\n') return "expected a newline at the line's end, got none";
  line.remove_suffix(1);
  if (line.find('\n') != line.npos) return "expected one line, got several";
  const auto read = openai::check_result_line(line);
  if (!read) return read.error().message;
  if (read->item != entry.item)
    return fmt::format("expected the line of item {}, got that of item {}", entry.item, read->item);
  if (read->part != entry.part)
    return fmt::format("expected the line of part {} of item {}, got another",
                       entry.part.value_or(0), entry.item);
  return {};
}

} // namespace

void JournalFindings::add(std::string fault) {
  if (faults.size() < faults_max)
    faults.push_back(std::move(fault));
  else
    ++more_faults;
}

Result<JournalCheck> JournalCheck::open(const std::string& directory) {
  const std::string path = directory + "/" + journal_file_name;
  std::error_code error;
  if (!fs::exists(path, error))
    return fail(ErrorCode::not_found,
                fmt::format("expected a state directory, there is no {} in {}", journal_file_name,
                            directory));
  auto taken = take_state_directory(directory);
  GRISTMILL_TRY(taken);
  auto database = JournalTables::open_to_look(path);
  GRISTMILL_TRY(database);
  return JournalCheck{std::move(*taken), std::move(*database)};
}

Result<journal::Recovered> JournalCheck::recovered() {
  auto content = read_journal(database_, boot_id(), boot_now());
  GRISTMILL_TRY(content);
  return std::move(content->recovered);
}

Result<> JournalCheck::commits(const std::function<bool(const CommitView&)>& use) {
  auto rows = database_.prepare(
      "SELECT position, epoch, job, c.segment, c.from_offset, c.to_offset, reopened, completed, "
      "failed, attempts, low_item, items, p.segment, p.from_offset, p.to_offset "
      "FROM commits c LEFT JOIN part_ranges p USING (job, position) ORDER BY c.rowid");
  GRISTMILL_TRY(rows);
  rows->start();
  for (;;) {
    const auto row = rows->next();
    GRISTMILL_TRY(row);
    if (!*row) return {};
    CommitView commit;
    commit.position = rows->number(0);
    commit.epoch = Epoch{static_cast<std::uint32_t>(rows->number(1))};
    commit.job = JobId{static_cast<std::uint32_t>(rows->number(2))};
    commit.lines = {static_cast<std::uint32_t>(rows->number(3)), rows->number(4), rows->number(5)};
    commit.reopened = rows->number(6);
    commit.completed = rows->number(7);
    commit.failed = rows->number(8);
    commit.attempts = rows->number(9);
    commit.low_item = rows->number(10);
    commit.items = rows->text(11);
    commit.parts = {static_cast<std::uint32_t>(rows->integer(12)), rows->number(13),
                    rows->number(14)};
    if (!use(commit)) return {};
  }
}

Result<JournalFindings> JournalCheck::verify() {
  JournalFindings findings;
  GRISTMILL_TRY(check_pages(findings));
  if (!findings.faults.empty()) return findings; // rows of broken pages say nothing
  const auto content = read_journal(database_, boot_id(), boot_now());
  if (!content) {
    findings.add(content.error().message);
    return findings;
  }
  std::map<JobId, std::string> directories;
  for (const JobSegments& job : content->segments) {
    directories[job.job] = job.directory;
    const auto check_tails = [&](LineKind kind, const auto& segments) {
      for (const auto& [number, segment] : segments) {
        const std::uint64_t bytes = segment.bytes;
        const std::string path = segment_path(place_of(job.directory), number, kind);
        std::error_code error;
        const auto there = fs::file_size(path, error);
        if (!error && there > bytes)
          findings.notes.push_back(fmt::format("{}: {} bytes were never promised, the next start "
                                               "cuts them",
                                               path, there - bytes));
      }
    };
    check_tails(LineKind::results, job.results);
    check_tails(LineKind::parts, job.parts);
  }
  Epoch newest;
  PartIndex parts; // as of before the commit
  auto read = commits([&](const CommitView& commit) {
    ++findings.commits;
    if (commit.epoch < newest)
      findings.add(fmt::format("commit {} of {}: expected epoch {} or later, got {}",
                               commit.position, to_string(commit.job), newest.value,
                               commit.epoch.value));
    newest = std::max(newest, commit.epoch);
    for (const LineKind kind : {LineKind::results, LineKind::parts})
      if (const SegmentRange& range = commit.range(kind); range.segment != 0)
        check_lines(directories[commit.job], kind, commit, parts, findings);
    parts.add(commit.job, commit.items, commit.parts);
    return true;
  });
  GRISTMILL_TRY(read);
  return findings;
}

std::string JournalCheck::place_of(const std::string& job_directory) const {
  return job_directory.empty() ? directory_.path
                               : (fs::path{directory_.path} / job_directory).string();
}

Result<> JournalCheck::check_pages(JournalFindings& findings) {
  auto verdicts = database_.prepare("PRAGMA integrity_check(10)");
  GRISTMILL_TRY(verdicts);
  verdicts->start();
  for (;;) {
    const auto row = verdicts->next();
    if (!row) {
      findings.add(row.error().message);
      return {};
    }
    if (!*row) return {};
    if (verdicts->text(0) != "ok") findings.add(fmt::format("database: {}", verdicts->text(0)));
  }
}

// The row's bytes are the lines of its items, one after the other.
void JournalCheck::check_lines(const std::string& job_directory, LineKind kind,
                               const CommitView& commit, const PartIndex& parts,
                               JournalFindings& findings) {
  const SegmentRange& range = commit.range(kind);
  const std::string path = segment_path(place_of(job_directory), range.segment, kind);
  const auto bytes = read_range(path, range.from, range.to);
  if (!bytes) return findings.add(bytes.error().message);
  if (bytes->size() < range.to - range.from)
    return findings.add(fmt::format("{}: expected {} bytes at least, got {}: lines are lost that "
                                    "commit {} promised",
                                    path, range.to, range.from + bytes->size(), commit.position));
  journal::ItemsReader reader{commit.items};
  journal::ItemEntry entry;
  for (std::string_view rest = *bytes;;) {
    const auto more = reader.next(entry);
    if (!more || !*more) return; // reading the journal has said what is wrong
    if (entry.kind != EntryKind::completed && entry.kind != EntryKind::failed) continue;
    if (entry.part.has_value() != (kind == LineKind::parts)) continue;
    const std::string_view line = rest.substr(0, entry.bytes);
    const auto offset = range.to - rest.size();
    rest.remove_prefix(line.size());
    ++findings.lines;
    findings.line_bytes += line.size();
    std::string fault = fault_of(line, entry);
    if (fault.empty() && !entry.part)
      fault = fault_of_join(line, job_directory, parts.of(commit.job, entry.item));
    if (!fault.empty())
      findings.add(
          fmt::format("{}, byte {} (commit {}): {}", path, offset, commit.position, fault));
  }
}

// What is wrong with an item's line by what its parts' lines say; of damaged ones enough is said.
std::string JournalCheck::fault_of_join(std::string_view line, const std::string& job_directory,
                                        const PartPlaces& places) {
  std::vector<std::string> lines;
  std::vector<openai::PartText> parts;
  for (const auto& [part, place] : places) {
    const auto bytes =
        read_range(segment_path(place_of(job_directory), place.segment, LineKind::parts),
                   place.offset, place.offset + place.bytes - 1);
    if (!bytes || !openai::check_result_line(*bytes)) return {};
    lines.push_back(*bytes);
    parts.push_back({place.cls, {}, part});
  }
  for (std::size_t n = 0; n < parts.size(); ++n) parts[n].line = lines[n];
  const auto joined = parts.empty() ? Result<>{} : openai::check_joined_line(line, parts);
  return joined ? "" : joined.error().message;
}

} // namespace gristmill::coordinator
