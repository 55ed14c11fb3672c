#include "protocol/openai/tokens/bpe/splitter.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <array>
#include <fmt/format.h>
#include <new>
#include <pcre2.h>
#include <utility>

namespace gristmill::bpe {
namespace {

PCRE2_SPTR bytes_at(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

std::string sentence_of(int fault) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(fault, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

} // namespace

// Read only once it is made, and so by any number of threads.
struct Splitter::Compiled {
  struct Free {
    void operator()(pcre2_code* made) const { pcre2_code_free(made); }
    void operator()(pcre2_match_context* made) const { pcre2_match_context_free(made); }
    void operator()(pcre2_match_data* made) const { pcre2_match_data_free(made); }
  };
  template <class T> static std::unique_ptr<T, Free> owned(T* made) {
    if (made == nullptr) throw std::bad_alloc{}; // the library has no other reason
    return std::unique_ptr<T, Free>{made};
  }

  std::unique_ptr<pcre2_code, Free> code;
  std::unique_ptr<pcre2_match_context, Free> context;
};

Result<Splitter> Splitter::compile(std::string_view pattern, SplitLimits limits) {
  auto compiled = std::make_shared<Compiled>();
  int fault = 0;
  PCRE2_SIZE at = 0;
  // Letters have the case that Unicode gives them.
  pcre2_code* code = pcre2_compile(bytes_at(pattern), pattern.size(), PCRE2_UTF | PCRE2_ANCHORED,
                                   &fault, &at, nullptr);
  if (code == nullptr)
    return fail(
        ErrorCode::internal,
        fmt::format("expected a pattern that PCRE2 takes, got {} at {}", sentence_of(fault), at));
  compiled->code = Compiled::owned(code);
  // Where no memory may be executed there is none, and the matcher interprets.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  compiled->context = Compiled::owned(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(compiled->context.get(), limits.steps);
  pcre2_set_heap_limit(compiled->context.get(), limits.heap_kib);
  Splitter splitter;
  splitter.compiled_ = std::move(compiled);
  return splitter;
}

void Splitter::split(std::string_view text,
                     const std::function<void(std::string_view)>& take) const {
  const auto found = Compiled::owned(pcre2_match_data_create(1, nullptr));
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(found.get());
  for (std::size_t at = 0; at < text.size();) {
    const int matches = pcre2_match(compiled_->code.get(), bytes_at(text), text.size(), at,
                                    PCRE2_NO_UTF_CHECK, found.get(), compiled_->context.get());
    const std::size_t end = matches > 0 && bounds[1] > at ? bounds[1] : text.size();
    take(text.substr(at, end - at));
    at = end;
  }
}

} // namespace gristmill::bpe
