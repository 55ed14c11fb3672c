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

struct PieceReader::Match {
  std::unique_ptr<pcre2_match_data, Splitter::Compiled::Free> found =
      Splitter::Compiled::owned(pcre2_match_data_create(1, nullptr));
};

PieceReader::PieceReader(const Splitter& splitter, std::string_view text)
    : compiled_{splitter.compiled_}, match_{std::make_unique<Match>()}, text_{text} {}
PieceReader::PieceReader(PieceReader&&) noexcept = default;
PieceReader::~PieceReader() = default;

std::string_view PieceReader::next() {
  if (at_ == text_.size()) return {};
  pcre2_match_data* const found = match_->found.get();
  const int matches = pcre2_match(compiled_->code.get(), bytes_at(text_), text_.size(), at_,
                                  PCRE2_NO_UTF_CHECK, found, compiled_->context.get());
  const PCRE2_SIZE end = matches > 0 ? pcre2_get_ovector_pointer(found)[1] : 0;
  const std::size_t begin = at_;
  at_ = end > begin ? end : text_.size();
  return text_.substr(begin, at_ - begin);
}

} // namespace gristmill::bpe
