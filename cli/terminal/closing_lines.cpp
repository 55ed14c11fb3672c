#include "cli/terminal/closing_lines.hpp"

#include "cli/terminal/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view{"_@%+=:,./-"}.find(c) != std::string_view::npos;
}

// Failed items are told of as long as there is one, else what was tried again.
bool is_worth_a_line(const CountedError& error, bool any_failed) {
  return any_failed ? error.final > 0 : error.retried() > 0;
}

std::string line_of(const CountedError& error) {
  const std::string_view cls = info(error.cls).name;
  std::string text;
  if (error.final > 0) text = fmt::format("{} failed as {}", grouped(error.final), cls);
  if (error.retried() > 0)
    text += text.empty() ? fmt::format("{} tried again after {}", grouped(error.retried()), cls)
                         : fmt::format(", {} more tried again", grouped(error.retried()));
  if (error.sample.empty() && error.code.empty()) return text;
  text += ": " + said(error);
  if (error.item.empty()) return text;
  return text + (error.source.empty() ? fmt::format(" ({})", error.item)
                                      : fmt::format(" ({}, {})", error.item, error.source));
}

bool may_pass(OutcomeClass cls) {
  const OutcomeClassInfo& meant = info(cls);
  return meant.retryable() || meant.fault != Fault::item;
}

} // namespace

std::string shell_word(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string{word};
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const bool controls = std::ranges::any_of(word, is_control);
  std::string quoted = controls ? "$'" : "'";
  for (const char c : word) {
    if (is_control(c))
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else if (c == '\'')
      quoted += controls ? "\\'" : "'\\''";
    else if (c == '\\' && controls)
      quoted += "\\\\";
    else
      quoted += c;
  }
  return quoted + "'";
}

TypedRun::TypedRun(std::vector<std::string> words) {
  for (std::size_t n = 0; n < words.size(); ++n) {
    const std::string& word = words[n];
    if (word == "--restart" || word.starts_with("--retry-failed=")) continue;
    if (word == "--retry-failed") {
      n += n + 1 < words.size() && outcome_classes_named(words[n + 1]).has_value();
      continue;
    }
    words_ += (words_.empty() ? "" : " ") + shell_word(word);
  }
}

std::string TypedRun::again() const {
  return words_;
}

std::string TypedRun::retrying(const std::string& classes) const {
  return words_ + " --retry-failed" + (classes.empty() ? "" : "=" + classes);
}

std::string TypedRun::anew() const {
  return words_ + " --restart";
}

std::string errors_of(const wiring::JobView& job) {
  if (!job.errors) return {};
  // What has failed is known here before its line is durable, and counts.
  std::uint64_t retried = 0, failed = 0;
  for (const CountedError& error : *job.errors) {
    retried += error.retried();
    failed += error.final;
  }
  const bool many = retried >= much_retried_least && 20 * retried > job.counts.attempts;
  if (failed == 0 && !many) return {};
  std::string lines;
  std::size_t told = 0, left_out = 0;
  for (const CountedError& error : *job.errors) {
    if (!is_worth_a_line(error, failed > 0)) continue;
    if (told == told_errors_max) {
      ++left_out;
      continue;
    }
    lines += fmt::format("{:<8}{}\n", told++ == 0 ? "errors" : "", line_of(error));
  }
  if (left_out > 0)
    lines += fmt::format("{:<8}{} other cause{}\n", "", left_out, left_out == 1 ? "" : "s");
  return lines;
}

std::string classes_to_retry(const wiring::JobView& job, bool& mend) {
  std::vector<std::string_view> failed, pass;
  if (job.errors)
    for (const CountedError& error : *job.errors) {
      const std::string_view name = info(error.cls).name;
      if (error.final == 0 || std::ranges::find(failed, name) != failed.end()) continue;
      failed.push_back(name);
      if (may_pass(error.cls)) pass.push_back(name);
    }
  mend = pass.empty();
  if (pass.size() == failed.size()) return {};
  std::string classes;
  for (const std::string_view name : pass)
    classes += fmt::format("{}{}", classes.empty() ? "" : ",", name);
  return classes;
}

// What a server has said of a line has a status.
bool is_of_input(const wiring::JobView& job) {
  if (!job.errors) return false;
  bool any = false;
  for (const CountedError& error : *job.errors) {
    if (error.final == 0) continue;
    if (error.cls != OutcomeClass::bad_line || error.http_status != 0) return false;
    any = true;
  }
  return any;
}

std::string closing_lines_of_input(const wiring::JobView& job, const std::string& next) {
  return fmt::format("{}        they fail again with this input; a mended one is another job, of "
                     "which all is called anew\n{}",
                     errors_of(job), next.empty() ? "" : fmt::format("{:<8}{}\n", "next", next));
}

std::string closing_lines(const wiring::JobView& job, const std::string& next, bool mend) {
  const std::string errors = errors_of(job);
  if (next.empty()) return errors;
  return fmt::format("{}{}{:<8}{}\n", errors,
                     mend ? "        they fail again unless that is mended; then\n" : "", "next",
                     next);
}

} // namespace gristmill::cli
