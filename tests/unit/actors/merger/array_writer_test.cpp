// Embeddings as a NumPy array, read back here by the words of the format's description.
#include "actors/merger/array_writer.hpp"
#include "tests/unit/actors/merger/merger_harness.hpp"

#include <cmath>

namespace array_writer_test {

using namespace gristmill;
using namespace gristmill::merger_test;

namespace {

struct Array {
  std::uint64_t rows = 0, dimensions = 0;
  std::vector<float> values;
  float at(std::uint64_t row, std::uint64_t column) const {
    return values.at(row * dimensions + column);
  }
};

// Magic, version 1.0, a little-endian length, a dictionary that ends with a newline, the numbers.
Array read_array(const std::string& bytes) {
  REQUIRE(bytes.size() >= 10);
  REQUIRE(bytes.substr(0, 8) == std::string_view("\x93NUMPY\x01\x00", 8));
  const std::size_t length =
      static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  REQUIRE((10 + length) % 64 == 0);
  const std::string dictionary = bytes.substr(10, length);
  REQUIRE(dictionary.back() == '\n');
  Array array;
  int read = 0;
  const int fields = std::sscanf(
      dictionary.c_str(), "{'descr': '<f4', 'fortran_order': False, 'shape': (%lu, %lu), }%n",
      &array.rows, &array.dimensions, &read);
  REQUIRE(fields == 2);
  REQUIRE(read > 0);
  REQUIRE(dictionary.find_first_not_of(' ', static_cast<std::size_t>(read)) ==
          dictionary.size() - 1);
  const std::string_view data = std::string_view{bytes}.substr(10 + length);
  REQUIRE(data.size() == 4 * array.rows * array.dimensions);
  array.values.resize(array.rows * array.dimensions);
  if (!data.empty()) std::memcpy(array.values.data(), data.data(), data.size());
  return array;
}

protocol::Outcome embedding(const std::string& element) {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::ok;
  outcome.http_status = 200;
  outcome.body = R"({"object":"list","data":[)" + element + R"(],"model":"m"})";
  return outcome;
}
protocol::Outcome vector_of(const std::string& numbers) {
  return embedding(R"({"object":"embedding","index":0,"embedding":)" + numbers + "}");
}

MergeTask embed_task(std::uint64_t total) {
  MergeTask task = task_of(total);
  task.spec.shape.task = Task::embed;
  task.spec.output = "/out.npy";
  return task;
}

MemoryFiles merged(const std::vector<protocol::Outcome>& outcomes) {
  MemoryFiles files;
  std::string segment; // last item first: the order of the rows is not that of the lines
  for (std::size_t i = outcomes.size(); i-- > 0;) segment += line_of(i, outcomes[i]);
  files.segments.push_back(segment);
  const MergeStep step = run(files, embed_task(outcomes.size()));
  CHECK(step.failure == "");
  CHECK(step.file.lines == outcomes.size());
  return files;
}

std::string failure_of(const std::vector<protocol::Outcome>& outcomes) {
  MemoryFiles files;
  std::string segment;
  for (std::size_t i = 0; i < outcomes.size(); ++i) segment += line_of(i, outcomes[i]);
  files.segments.push_back(segment);
  const MergeStep step = run(files, embed_task(outcomes.size()));
  CHECK_FALSE(step.done);
  CHECK_FALSE(files.finished);
  CHECK(step.code == ErrorCode::bad_input);
  return step.failure;
}

} // namespace

TEST_CASE("A header is a multiple of 64 bytes, whatever it says", "[npy]") {
  for (std::uint64_t rows = 1; rows < 1'000'000'000'000'000; rows *= 10) {
    const std::string header = npy_header(rows, 3);
    CHECK(header.size() % 64 == 0);
    CHECK(header.size() <= 128);
    CHECK(header.back() == '\n');
  }
  CHECK(read_array(npy_header(0, 0)).rows == 0);
  CHECK(read_array(npy_header(7, 0)).rows == 7);
}

TEST_CASE("Row N is item N, as numbers or as base64", "[npy]") {
  // 1.0f is 00 00 80 3f, -2.5f is 00 00 20 c0.
  const MemoryFiles files = merged({vector_of("[1, -2.5e0]"), vector_of("\"AACAPwAAIMA=\""),
                                    vector_of("\"AACAPwAAIMA\""), vector_of("[0.1,null]")});
  const Array array = read_array(files.output);
  CHECK(array.rows == 4);
  CHECK(array.dimensions == 2);
  for (std::uint64_t row = 0; row < 3; ++row) {
    CHECK(array.at(row, 0) == 1.0f);
    CHECK(array.at(row, 1) == -2.5f);
  }
  CHECK(array.at(3, 0) == 0.1f);
  CHECK(std::isnan(array.at(3, 1)));
  CHECK(files.ids == R"({"row":0,"custom_id":"doc-0","source":"in.jsonl:1","failed":false}
{"row":1,"custom_id":"doc-1","source":"in.jsonl:2","failed":false}
{"row":2,"custom_id":"doc-2","source":"in.jsonl:3","failed":false}
{"row":3,"custom_id":"doc-3","source":"in.jsonl:4","failed":false}
)");
}

TEST_CASE("Failed items are rows of NaN, also before the first embedding", "[npy]") {
  const MemoryFiles files = merged({own_error("timeout", "too \"late\""),
                                    http_error(400, R"({"error":{"message":"no"}})"),
                                    vector_of("[3,4]"), own_error("cancelled", "")});
  const Array array = read_array(files.output);
  CHECK(array.rows == 4);
  CHECK(array.dimensions == 2);
  for (const std::uint64_t row : {0u, 1u, 3u})
    for (const std::uint64_t column : {0u, 1u}) CHECK(std::isnan(array.at(row, column)));
  CHECK(array.at(2, 0) == 3);
  CHECK(array.at(2, 1) == 4);
  const auto second = files.ids.substr(files.ids.find('\n') + 1);
  CHECK(files.ids.starts_with(R"({"row":0,"custom_id":"doc-0","source":"in.jsonl:1","failed":true,)"
                              R"("error":{"code":"timeout","message":"too \"late\""}})"));
  CHECK(second.starts_with(R"({"row":1,"custom_id":"doc-1","source":"in.jsonl:2","failed":true,)"
                           R"("error":{"code":"http_400","message":"no"}})"));
  const auto summary = nlohmann::json::parse(files.summary);
  CHECK(summary["output"]["lines"] == 4);
  CHECK(summary["embeddings"]["norm"]["mean"] == 5);
}

TEST_CASE("A job without any embedding is an array without columns", "[npy]") {
  const Array array =
      read_array(merged({own_error("timeout", ""), own_error("timeout", "")}).output);
  CHECK(array.rows == 2);
  CHECK(array.dimensions == 0);
}

TEST_CASE("What is no row ends the merge and says where the answers are", "[npy]") {
  struct Row {
    protocol::Outcome second;
    const char* got;
  };
  const std::string three = R"({"embedding":[1,2]},{"embedding":[1,2]},{"embedding":[1,2]})";
  const auto row =
      GENERATE_COPY(values<Row>({{vector_of("[1,2,3]"), "one of 3, where the first has 2"},
                                 {vector_of("[1]"), "one of 1, where the first has 2"},
                                 {embedding(three), "3 of them"},
                                 {embedding(""), "0 of them"},
                                 {vector_of("[1,\"2\"]"), "one that is neither"},
                                 {vector_of("[]"), "one that is neither"},
                                 {vector_of("\"AACAP\""), "one that is neither"},
                                 {vector_of("\"AACA\""), "one that is neither"},
                                 {vector_of("\"not base64!\""), "one that is neither"},
                                 {vector_of("{}"), "one that is neither"}}));
  const std::string failure = failure_of({vector_of("[1,2]"), row.second});
  CHECK(failure.find("in.jsonl:2 (\"doc-1\"): expected one embedding") == 0);
  CHECK(failure.find(std::string{"got "} + row.got) != failure.npos);
  CHECK(failure.find("-o NAME.jsonl") != failure.npos);
}

} // namespace array_writer_test
