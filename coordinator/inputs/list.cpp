#include "coordinator/inputs/list.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <sodium.h>
#include <span>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t blocks_kept = 16, digest_bytes = 16;

Error cannot_open(const std::string& path, const Error& why) {
  return {why.code, fmt::format("{}: expected the list of inputs: {}", path, why.message)};
}

} // namespace

struct ListDigest::State {
  crypto_generichash_state hash;
};

ListDigest::ListDigest() : state_{std::make_unique<State>()} {
  crypto_generichash_init(&state_->hash, nullptr, 0, digest_bytes);
}
ListDigest::~ListDigest() = default;
ListDigest::ListDigest(ListDigest&&) noexcept = default;

void ListDigest::add(std::string_view text) {
  crypto_generichash_update(&state_->hash, reinterpret_cast<const unsigned char*>(text.data()),
                            text.size());
}

std::string ListDigest::text() {
  std::array<unsigned char, digest_bytes> bytes{};
  crypto_generichash_final(&state_->hash, bytes.data(), bytes.size());
  std::string digits;
  for (const unsigned char byte : bytes) digits += fmt::format("{:02x}", byte);
  return digits;
}

InputSpec listed_input(std::string path, std::uint64_t files, std::uint64_t bytes,
                       std::string digest) {
  InputSpec list{std::move(path), fmt::format("{} files", files)};
  list.bytes = bytes;
  list.files = files;
  list.digest = std::move(digest);
  return list;
}

std::string digest_of_list(std::string_view text) {
  ListDigest digest;
  digest.add(text);
  return digest.text();
}

Result<InputList> InputList::open(const std::vector<InputSpec>& inputs, InputRoots roots) {
  InputList list{std::move(roots)};
  if (inputs.size() != 1 || inputs.front().files == 0) {
    list.count_ = static_cast<std::uint32_t>(inputs.size());
    list.blocks_.push_back({0, inputs});
    return list;
  }
  GRISTMILL_TRY(list.read_index(inputs.front()));
  return list;
}

Result<> InputList::read_index(const InputSpec& list) {
  path_ = list.path;
  const auto opened = roots_.open_file(path_);
  if (!opened) return tl::unexpected{cannot_open(path_, opened.error())};
  ListDigest digest;
  std::vector<char> bytes(256 * 1024);
  std::uint64_t lines = 0, offset = 0;
  starts_.push_back(0);
  for (;;) {
    const auto got = opened->file->read(offset, bytes);
    if (!got) return tl::unexpected{cannot_read(path_, got.error())};
    if (*got == 0) break;
    const std::string_view text{bytes.data(), *got};
    digest.add(text);
    for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1))
      if (++lines % block_inputs == 0) starts_.push_back(offset + at + 1);
    offset += *got;
  }
  if (lines != list.files || digest.text() != list.digest)
    return fail(
        ErrorCode::bad_input,
        fmt::format("{}: expected the list of {} inputs that the job began with, got another "
                    "({} inputs); put it back, or begin anew",
                    path_, list.files, lines));
  if (starts_.back() != offset) starts_.push_back(offset);
  count_ = static_cast<std::uint32_t>(lines);
  about_ = opened->about;
  return {};
}

Result<InputList::Block> InputList::read_block(std::uint32_t number) const {
  const std::uint64_t from = starts_.at(number), to = starts_.at(number + 1);
  const auto opened = roots_.open_file(path_);
  if (!opened) return tl::unexpected{cannot_open(path_, opened.error())};
  if (opened->about != about_)
    return fail(ErrorCode::bad_input, fmt::format("{}: the list of inputs was changed", path_));
  std::string text(to - from, '\0');
  const auto got = read_fully(*opened->file, from, text);
  if (!got) return tl::unexpected{cannot_read(path_, got.error())};
  if (*got < text.size())
    return fail(ErrorCode::io, fmt::format("{}: the list of inputs became shorter", path_));
  Block block{number, {}};
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    auto input = input_spec_from_json(std::string_view{text}.substr(at, end - at));
    if (!input)
      return fail(ErrorCode::bad_input, fmt::format("{}: {}", path_, input.error().message));
    block.inputs.push_back(std::move(*input));
    at = end + 1;
  }
  return block;
}

Result<const InputSpec*> InputList::at(std::uint32_t number) {
  const std::uint32_t wanted = is_listed() ? number / block_inputs : 0;
  const auto known = std::find_if(blocks_.begin(), blocks_.end(),
                                  [&](const Block& b) { return b.number == wanted; });
  if (known != blocks_.end()) {
    blocks_.splice(blocks_.begin(), blocks_, known);
  } else {
    auto block = read_block(wanted);
    GRISTMILL_TRY(block);
    if (blocks_.size() == blocks_kept) blocks_.pop_back();
    blocks_.push_front(std::move(*block));
  }
  return &blocks_.front().inputs.at(is_listed() ? number % block_inputs : number);
}

} // namespace gristmill::coordinator
