// The window on blobs over real files: whole or not there, kept while somebody reads, and nothing
// outside of their directory.
#include "coordinator/journal/file_blobs.hpp"

#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace uploaded_blobs_test {

using namespace gristmill;
using namespace gristmill::store_test;
using coordinator::FileBlobs;
namespace fs = std::filesystem;

namespace {

struct Stage {
  TempDirectory temp;
  std::string state = fs::canonical(temp / ".").string() + "/state", root = state + "/inputs";
  std::shared_ptr<FileBlobs> blobs = FileBlobs::open_in(state).value();

  Blob put(std::string_view text, std::string_view name = "in.jsonl") const {
    auto writer = blobs->begin(name, text.size());
    REQUIRE(writer);
    REQUIRE((*writer)->append(text));
    auto blob = (*writer)->finish();
    REQUIRE(blob);
    return *blob;
  }
  std::size_t count() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator{root}, fs::directory_iterator{}));
  }
};

// Up to so many bytes from there.
std::string text_of(const ByteReader& reader, std::uint64_t from = 0, std::size_t most = 1'000) {
  std::string text(most, '\0');
  const auto got = read_fully(reader, from, text);
  REQUIRE(got);
  text.resize(*got);
  return text;
}

} // namespace

TEST_CASE("a blob is found at its place when it is finished, and what was dropped leaves nothing") {
  const Stage stage;
  auto writer = stage.blobs->begin("a/../b c.jsonl", {}).value();
  REQUIRE(writer->append("one\n"));
  CHECK(stage.count() == 1);
  REQUIRE(writer->append("two\n"));
  const Blob blob = writer->finish().value();
  CHECK(blob.place == fmt::format("{}/{}/b_c.jsonl", stage.root, blob.id));
  CHECK(blob.bytes == 8);
  writer.reset(); // it stays
  CHECK(stage.blobs->id_of(blob.place) == blob.id);
  CHECK(stage.blobs->is_place(blob.place));
  CHECK_FALSE(stage.blobs->is_place(blob.place + ".part"));
  CHECK_FALSE(stage.blobs->is_place(fs::path{blob.place}.parent_path()));
  CHECK(text_of(*stage.blobs->open(blob.place).value()) == "one\ntwo\n");

  auto dropped = stage.blobs->begin("x", {}).value();
  REQUIRE(dropped->append("half"));
  CHECK(stage.count() == 2);
  dropped.reset();
  CHECK(stage.count() == 1);
}

TEST_CASE("a blob is read from any place up to its end") {
  const Stage stage;
  const auto reader = stage.blobs->open(stage.put("0123456789").place).value();
  CHECK(reader->state().bytes == 10);
  for (const std::size_t most : {9u, 10u, 11u})
    CHECK(text_of(*reader, 0, most) == std::string{"0123456789"}.substr(0, most));
  CHECK(text_of(*reader, 9) == "9");
  CHECK(text_of(*reader, 10).empty());
  CHECK(text_of(*reader, 11).empty());
}

TEST_CASE("who reads a blob goes on when it is removed, and nobody else finds it") {
  const Stage stage;
  const Blob blob = stage.put("text");
  const auto reader = stage.blobs->open(blob.place).value();
  CHECK(stage.blobs->remove(blob.id));
  CHECK_FALSE(stage.blobs->remove(blob.id));
  CHECK(text_of(*reader) == "text");
  CHECK(stage.blobs->open(blob.place).error().code == ErrorCode::bad_input);
  CHECK(stage.blobs->is_place(blob.place)); // also of one that is gone
}

TEST_CASE("a blob that was cut or exchanged is seen by its state") {
  const Stage stage;
  const Blob blob = stage.put("0123456789");
  const auto reader = stage.blobs->open(blob.place).value();
  const ByteState before = reader->state();
  fs::resize_file(blob.place, 4);
  CHECK(reader->state().bytes == 4);
  CHECK(text_of(*reader) == "0123");
  CHECK_FALSE(reader->state() == before);
  fs::remove(blob.place);
  append_to(blob.place, "0123456789");
  CHECK_FALSE(stage.blobs->open(blob.place).value()->state() == before);
}

TEST_CASE("what a blob is linked to stays as long as one of them does") {
  const Stage stage;
  const Blob pack = stage.put("pack");
  auto writer = stage.blobs->begin("list", {}).value();
  const std::string first = writer->link(pack.place).value();
  const std::string second = writer->link(pack.place).value();
  CHECK(first != second);
  CHECK_FALSE(writer->link(pack.place + "-none"));
  const Blob list = writer->finish().value();
  CHECK(stage.blobs->id_of(first) == list.id);
  REQUIRE(stage.blobs->remove(pack.id));
  CHECK(text_of(*stage.blobs->open(first).value()) == "pack");
  REQUIRE(stage.blobs->remove(list.id));
  CHECK_FALSE(stage.blobs->open(first));
  CHECK(stage.count() == 0);
}

TEST_CASE("no id and no place leads out of the blobs") {
  const Stage stage;
  const Blob blob = stage.put("text");
  append_to(stage.state + "/secret", "secret");
  for (const char* id : {"", ".", "..", "../inputs", "x/..", "/"})
    CHECK_FALSE(stage.blobs->remove(id));
  CHECK(stage.count() == 1);
  const std::string directory = fs::path{blob.place}.parent_path();
  fs::create_symlink("../../secret", directory + "/link");
  CHECK(stage.blobs->open(directory + "/link").error().code == ErrorCode::refused);
  CHECK_FALSE(stage.blobs->open(directory + "/../../secret"));
  CHECK_FALSE(stage.blobs->open(directory));
  for (const std::string& path : {stage.state + "/secret", stage.root, stage.root + "-2/x"}) {
    CHECK_FALSE(stage.blobs->owns(path));
    CHECK_FALSE(stage.blobs->is_place(path));
    CHECK(stage.blobs->id_of(path).empty());
    CHECK_FALSE(stage.blobs->open(path));
  }
}

TEST_CASE("jobs read blobs and what lies below their roots, and nothing else") {
  const Stage stage;
  const Blob blob = stage.put("text");
  append_to(stage.temp / "outside", "secret");
  const std::string outside = fs::canonical(stage.temp / "outside");
  const coordinator::InputRoots roots{{}, stage.blobs};
  CHECK(text_of(*roots.open_file(blob.place).value().file) == "text");
  CHECK(roots.open_file(outside).error().code == ErrorCode::refused);
  CHECK(coordinator::InputRoots{}.open_file(outside)); // a user's own command
}

} // namespace uploaded_blobs_test
