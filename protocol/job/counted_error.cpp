#include "protocol/job/counted_error.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill {

std::string said(const CountedError& error) {
  std::string text = error.http_status == 0 ? "" : fmt::format("HTTP {}", error.http_status);
  if (text.empty() || error.code != fmt::format("http_{}", error.http_status)) {
    text += text.empty() ? "" : " ";
    text += error.code.empty() ? std::string{info(error.cls).name} : error.code;
  }
  return fmt::format("{}: {}", text,
                     error.sample.empty() ? info(error.cls).sentence
                                          : std::string_view{error.sample});
}

std::string name_of(const CountedError& error) {
  const std::string_view cls = info(error.cls).name;
  return error.code.empty() || error.code == cls ? std::string{cls}
                                                 : fmt::format("{}, {}", cls, error.code);
}

const CountedError* of_late(const ErrorList& errors) {
  constexpr std::int64_t late_s = 60;
  std::int64_t last = 0;
  for (const CountedError& error : errors) last = std::max(last, error.at);
  const CountedError* most = nullptr;
  for (const CountedError& error : errors)
    if (error.at != 0 && error.at >= last - late_s &&
        (most == nullptr || error.count > most->count))
      most = &error;
  return most;
}

void sort_by_count(ErrorList& errors) {
  std::ranges::stable_sort(errors, std::ranges::greater{}, &CountedError::count);
}

ErrorList leading(ErrorList errors, std::size_t most) {
  sort_by_count(errors);
  ErrorList rest;
  if (errors.size() > most)
    rest.assign(std::make_move_iterator(errors.begin() + static_cast<std::ptrdiff_t>(most)),
                std::make_move_iterator(errors.end()));
  errors.resize(std::min(errors.size(), most));
  for (CountedError& error : rest) {
    auto other = std::ranges::find_if(errors, [&](const CountedError& known) {
      return known.cls == error.cls && known.code == "other" && known.http_status == 0;
    });
    if (other == errors.end()) {
      error.code = "other";
      error.http_status = 0;
      errors.push_back(std::move(error));
    } else {
      other->count += error.count;
      other->final += error.final;
      other->at = std::max(other->at, error.at);
    }
  }
  return errors;
}

void take_back(ErrorList& errors, const std::vector<OutcomeClass>& classes) {
  for (CountedError& error : errors)
    if (classes.empty() || std::ranges::find(classes, error.cls) != classes.end()) error.final = 0;
}

} // namespace gristmill
