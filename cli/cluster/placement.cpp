#include "cli/cluster/placement.hpp"
#include "protocol/rules/job_faults.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/dry_run/dry_run.hpp"
#include "cli/dry_run/field_check.hpp"
#include "cli/exit_codes.hpp"
#include "cli/own_files.hpp"
#include "coordinator/inputs/list.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill::cli {
namespace {

constexpr std::size_t uploads_max = 8; // beyond it one request for all is faster

std::optional<Placement::Refusal> refused(const Error& error) {
  return Placement::Refusal{error.message, exit_usage};
}

std::optional<Placement::Refusal> faults_in(const JobSpec& spec) {
  const auto faults = faults_of(spec);
  if (faults.empty()) return std::nullopt;
  return Placement::Refusal{fmt::format("{}", fmt::join(faults, "; ")), exit_usage};
}

} // namespace

std::optional<Placement::Refusal> Placement::in_place(std::vector<InputSpec>& inputs) {
  if (reads_standard_input(names_))
    return Refusal{"--in-place: expected paths below the coordinator's --data-root, got - "
                   "(standard input); leave --in-place out",
                   exit_usage};
  for (const std::string& name : names_) inputs.push_back({name, name});
  return std::nullopt;
}

// Each stands for itself, so that the coordinator keeps no list of them.
std::optional<Placement::Refusal> Placement::upload(std::vector<InputSpec>& inputs) {
  LeftOut left_out;
  auto found = found_inputs(names_, "", &left_out);
  if (!found) return refused(found.error());
  left_out.tell();
  if (found->size() > coordinator::inputs_in_spec_max)
    return Refusal{fmt::format("INPUT: expected at most {} files in an append, got {}; append them "
                               "in several",
                               coordinator::inputs_in_spec_max, found->size()),
                   exit_usage};
  Result<> placed;
  if (found->size() <= uploads_max) {
    placed = upload_each(*found);
    inputs = std::move(*found);
  } else {
    auto pack = upload_pack(*found);
    if (pack) inputs = pack->rest();
    if (!pack) placed = tl::unexpected{pack.error()};
  }
  if (placed) return std::nullopt;
  settle(false);
  return Refusal{placed.error().message, exit_code_of_failure(placed.error())};
}

std::optional<Placement::Refusal> Placement::in_place(JobSpec& spec) {
  if (auto wrong = in_place(spec.inputs)) return wrong;
  if (auto faults = faults_in(spec)) return faults;
  return upload_tokenizer(spec);
}

std::optional<Placement::Refusal> Placement::upload(JobSpec& spec, const std::string& output) {
  LeftOut left_out;
  auto found = names_.empty() ? Result<std::vector<InputSpec>>{std::vector<InputSpec>{}}
                              : found_inputs(names_, output, &left_out);
  if (!found) return refused(found.error());
  left_out.tell();
  if (!output.empty())
    if (auto apart = OwnFiles{output, ""}.refuse_inputs(*found); !apart)
      return refused(apart.error());
  if (auto wrong = look_at(spec, *found)) return wrong;
  Result<> placed;
  if (found->size() <= uploads_max) {
    placed = upload_each(*found);
    spec.inputs = std::move(*found);
  } else {
    auto list = upload_together(*found);
    if (list) spec.inputs = {std::move(*list)};
    if (!list) placed = tl::unexpected{list.error()};
  }
  if (placed) return upload_tokenizer(spec);
  settle(false);
  return refused(placed.error());
}

std::optional<Placement::Refusal> Placement::upload_tokenizer(JobSpec& spec) {
  if (spec.tokenizer_file.empty()) return std::nullopt;
  auto place = upload_file(spec.tokenizer_file);
  if (!place) {
    settle(false);
    return refused(place.error());
  }
  spec.tokenizer_file = std::move(*place);
  tokenizer_ = std::move(uploaded_.back());
  uploaded_.pop_back();
  return std::nullopt;
}

// Before anything is uploaded. Under --strict every line is read, so that its user learns of a bad
// one at once.
std::optional<Placement::Refusal> Placement::look_at(const JobSpec& spec,
                                                     const std::vector<InputSpec>& found) {
  JobSpec looked = spec;
  const bool many = found.size() > uploads_max; // they will be one list
  looked.inputs.assign(found.begin(), many ? std::next(found.begin()) : found.end());
  // Of standard input, which is read once, nobody says which fields it has; an open job may begin
  // without any input.
  if (!found.empty() && !reads_standard_input(names_)) {
    JobSpec first = spec;
    first.inputs.assign(found.begin(), std::next(found.begin()));
    const auto fields = check_fields(first);
    if (!fields) return refused(fields.error());
    if (!fields->refusal.empty()) return Refusal{fields->refusal, exit_usage};
    say(fields->note);
  }
  if (auto faults = faults_in(looked)) return faults;
  if (!spec.policy.strict) return std::nullopt;
  looked.inputs = found;
  for (InputSpec& input : looked.inputs) {
    if (input.path != "-") continue;
    if (!standard_input_) {
      auto kept = kept_standard_input();
      if (!kept) return refused(kept.error());
      standard_input_ = std::move(*kept);
    }
    input.path = fmt::format("/proc/self/fd/{}", ::fileno(standard_input_.get()));
  }
  const auto bad = first_bad_line(looked);
  if (!bad) return refused(bad.error());
  if (!*bad) return std::nullopt;
  return Refusal{fmt::format("{}: {} (--strict)", (*bad)->source, (*bad)->sentence),
                 exit_bad_input};
}

Result<std::string> Placement::upload_from(const std::string& name,
                                           std::optional<std::uint64_t> bytes,
                                           decltype(HttpCall::upload) source) {
  auto uploaded = client_.upload(name, bytes, std::move(source));
  GRISTMILL_TRY(uploaded);
  uploaded_.push_back(std::move(uploaded->id));
  return std::move(uploaded->path);
}

Result<std::string> Placement::upload_file(const std::string& path) {
  const bool standard = path == "-";
  if (standard && standard_input_) std::rewind(standard_input_.get());
  auto file = standard && standard_input_
                  ? Result<InputFile>{InputFile{standard_input_.get(), [](auto*) { return 0; }}}
                  : open_input(path);
  GRISTMILL_TRY(file);
  std::optional<std::uint64_t> bytes;
  std::error_code error;
  if (const auto size = std::filesystem::file_size(path, error); !standard && !error) bytes = size;
  const std::string name = standard ? "stdin" : std::filesystem::path{path}.filename().string();
  return upload_from(name, bytes,
                     [&](std::span<char> into) { return read_input(file->get(), path, into); });
}

Result<> Placement::upload_each(std::vector<InputSpec>& inputs) {
  for (InputSpec& input : inputs) {
    auto path = upload_file(input.path);
    GRISTMILL_TRY(path);
    input = InputSpec{std::move(*path), std::move(input.name)};
  }
  return {};
}

Result<PackList> Placement::upload_pack(const std::vector<InputSpec>& inputs) {
  std::string standard_input;
  if (reads_standard_input(names_)) {
    auto path = upload_file("-");
    GRISTMILL_TRY(path);
    standard_input = std::move(*path);
  }
  PackContent content{inputs};
  auto pack = upload_from("pack", content.bytes(),
                          [&](std::span<char> into) { return content.read(into); });
  GRISTMILL_TRY(pack);
  return PackList{inputs, std::move(*pack), std::move(standard_input)};
}

Result<InputSpec> Placement::upload_together(const std::vector<InputSpec>& inputs) {
  together_ = true;
  auto entries = upload_pack(inputs);
  GRISTMILL_TRY(entries);
  auto list = upload_from("list.jsonl", std::nullopt,
                          [&](std::span<char> into) { return entries->read(into); });
  GRISTMILL_TRY(list);
  InputSpec input{std::move(*list), fmt::format("{} files", inputs.size())};
  input.files = inputs.size();
  return input;
}

// Of a list the coordinator has made its own. What is not taken back goes by its age.
void Placement::settle(bool submitted) {
  if (!submitted && tokenizer_) (void)client_.discard(*tokenizer_);
  if (submitted && !together_) return;
  for (const std::string& id : uploaded_) (void)client_.discard(id);
  uploaded_.clear();
}

} // namespace gristmill::cli
