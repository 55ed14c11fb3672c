// What the tests of the answer cache share: a directory that goes away, answers to keep, and a look
// at the file as it lies there.
#pragma once

#include "coordinator/cache/cache_store.hpp"
#include "coordinator/journal/sqlite.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <stdlib.h>
#include <sys/stat.h>

namespace gristmill::cache_test {

using coordinator::CacheCounts;
using coordinator::CacheStats;
using coordinator::CacheStore;

inline constexpr std::uint64_t plenty = 1u << 30;
inline constexpr std::int64_t start = 1'790'000'000, hour = 3'600; // unix seconds

class CacheDirectoryForTest {
public:
  CacheDirectoryForTest() {
    std::string name = (std::filesystem::current_path() / "cache_store_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~CacheDirectoryForTest() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  CacheDirectoryForTest(const CacheDirectoryForTest&) = delete;

  std::string cache() const { return path + "/cache"; }
  std::string file() const { return cache() + "/answers.db"; }
  std::string damaged(int number) const { return fmt::format("{}.damaged-{}", file(), number); }

  std::string path;
};

inline RequestKey key(std::uint64_t number) {
  RequestKey key;
  std::memcpy(key.bytes.data(), &++number, sizeof number); // 0 would be none
  return key;
}

inline KnownAnswer answer(std::uint64_t number, std::size_t words = 20) {
  KnownAnswer answer{.http_status = 200,
                     .request_id = fmt::format("chatcmpl-{}", number),
                     .model = "sim-small",
                     .endpoint = "http://127.0.0.1:8000/v1",
                     .body = R"({"choices":[{"message":{"content":")"};
  std::uint64_t state = number;
  for (std::size_t n = 0; n < words; ++n) {
    state = state * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    answer.body += fmt::format("{:08x} ", state >> 32);
  }
  answer.body += R"("}}]})";
  return answer;
}

inline CacheStore open_cache(const std::string& directory, std::uint64_t bytes_max = plenty) {
  auto opened = CacheStore::open(directory, bytes_max);
  if (!opened) throw std::runtime_error{opened.error().message};
  return std::move(*opened);
}

inline void put(CacheStore& store, std::uint64_t from, std::uint64_t to, std::int64_t now = start) {
  CacheStore::NewAnswers answers;
  for (std::uint64_t number = from; number < to; ++number)
    answers.emplace_back(key(number), answer(number));
  if (const auto kept = store.put(answers, now); !kept)
    throw std::runtime_error{kept.error().message};
}

// Which of these are found; each is what was put.
inline std::vector<std::uint64_t> found(CacheStore& store, std::uint64_t from, std::uint64_t to,
                                        std::int64_t now = start) {
  std::vector<RequestKey> keys;
  for (std::uint64_t number = from; number < to; ++number) keys.push_back(key(number));
  const auto answers = store.find(keys, now);
  if (!answers) throw std::runtime_error{answers.error().message};
  REQUIRE(answers->size() == keys.size());
  std::vector<std::uint64_t> numbers;
  for (std::size_t n = 0; n < keys.size(); ++n)
    if (const auto& there = (*answers)[n]) {
      REQUIRE(*there == answer(from + n));
      numbers.push_back(from + n);
    }
  return numbers;
}

inline std::string content_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream{path, std::ios::binary | std::ios::trunc} << content;
}

inline void execute(const std::string& path, const std::string& sql) {
  auto database = coordinator::Database::open_shared(path, std::chrono::seconds{1});
  REQUIRE(database);
  REQUIRE(database->execute(sql));
}

inline std::string value(const std::string& path, const std::string& sql) {
  auto database = coordinator::Database::open_shared(path, std::chrono::seconds{1});
  REQUIRE(database);
  return database->value(sql).value_or("no value");
}

} // namespace gristmill::cache_test
