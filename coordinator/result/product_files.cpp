#include "coordinator/result/product_files.hpp"

#include "coordinator/disk/state_directory.hpp"
#include "coordinator/inputs/unpacker.hpp"
#include "coordinator/journal/mark.hpp"

#include <array>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t head_bytes = 64 * 1024;
constexpr std::string_view result_begin = "{\"id\":\"batch_req_",
                           summary_begin = "{\n  \"job\": \"job-",
                           row_begin = "{\"row\":0,\"custom_id\":";

} // namespace

bool begins_as_result(std::string_view head) {
  if (!head.starts_with(result_begin)) return false;
  const auto number = head.substr(result_begin.size(), 11);
  const auto line = head.substr(0, head.find('\n'));
  // One that is longer than what was read ends nowhere.
  return number.find('_') != number.npos &&
         (line.size() == head.size() || line.find("\"gristmill\":{") != line.npos);
}

bool begins_as_summary(std::string_view head) {
  return head.starts_with(summary_begin);
}

bool begins_as_row_names(std::string_view head) {
  return head.starts_with(row_begin);
}

std::string head_of(const journal::ByteReader& file) {
  std::string head(head_bytes, '\0');
  const auto got = read_fully(file, 0, head);
  head.resize(got.value_or(0));
  const auto packing = packing_of("", head);
  if (!packing || *packing == Packing::none) return head;
  std::uint64_t offset = 0;
  const auto unpacker = Unpacker::open(*packing, [&](std::span<char> into) {
    auto read = read_fully(file, offset, into);
    if (read) offset += *read;
    return read;
  });
  std::string text(head_bytes, '\0');
  text.resize(unpacker->next(text).value_or(0));
  return text;
}

bool is_product(const journal::ByteReader& file) {
  std::array<char, 32> bytes{};
  const auto got = read_fully(file, 0, bytes);
  if (!got) return false;
  const std::string_view first{bytes.data(), *got};
  const auto packing = packing_of("", first);
  const bool packed = packing && *packing != Packing::none;
  if (!packed && !first.starts_with(result_begin) && !begins_as_summary(first) &&
      !begins_as_row_names(first))
    return false;
  const std::string head = head_of(file);
  return begins_as_result(head) || begins_as_summary(head) || begins_as_row_names(head);
}

bool is_state_directory(const std::string& path) {
  const std::string journal = path + "/" + journal_file_name;
  struct stat about {};
  return ::lstat(journal.c_str(), &about) == 0 && S_ISREG(about.st_mode) &&
         is_journal(journal).value_or(true); // whoever cannot read it leaves it alone
}

} // namespace gristmill::coordinator
