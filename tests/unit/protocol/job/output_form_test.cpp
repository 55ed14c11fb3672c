// The forms of an OUTPUT on a real disk: compressed lines, an array, and a stream that is no file.
#include "tests/unit/coordinator/result/merge_files_harness.hpp"

#include "actors/kit/random.hpp"
#include "coordinator/result/compressor.hpp"

#include <array>
#include <sodium.h>
#include <zlib.h>
#include <zstd.h>

namespace output_form_test {

using namespace gristmill;
using namespace gristmill::merger_test;

namespace {

std::string gunzipped(const std::string& bytes) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, MAX_WBITS + 16) == Z_OK);
  std::string text(64u << 20, '\0');
  stream.next_in = reinterpret_cast<z_const Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  CHECK(stream.avail_in == 0);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

std::string unpacked(const std::string& bytes, OutputForm form) {
  if (form == OutputForm::gzip) return gunzipped(bytes);
  std::string text(64u << 20, '\0');
  ZSTD_DCtx* context = ZSTD_createDCtx();
  const std::size_t size =
      ZSTD_decompressDCtx(context, text.data(), text.size(), bytes.data(), bytes.size());
  ZSTD_freeDCtx(context);
  REQUIRE_FALSE(ZSTD_isError(size));
  text.resize(size);
  return text;
}

std::string sha256_of(const std::string& bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                     bytes.size());
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

// Bytes that do not compress to nothing.
std::string noise(std::size_t bytes) {
  Random random{7};
  std::string text;
  while (text.size() < bytes) text += fmt::format("{:x} grain\n", random.next());
  text.resize(bytes);
  return text;
}

} // namespace

TEST_CASE("What is compressed comes back, in pieces of every size") {
  const OutputForm form = GENERATE(OutputForm::gzip, OutputForm::zstd);
  const std::string text = noise(5'000'000);
  for (const std::size_t piece : {100u, 65'536u, 1'048'576u, 5'000'000u}) {
    auto compressor = Compressor::of(form);
    REQUIRE(compressor);
    std::string packed;
    for (std::size_t at = 0; at < text.size(); at += piece)
      REQUIRE((*compressor)->add(std::string_view{text}.substr(at, piece), false, packed));
    REQUIRE((*compressor)->add("", true, packed));
    CHECK(packed.size() < text.size());
    CHECK((unpacked(packed, form) == text));
  }
}

TEST_CASE("Nothing, compressed, is nothing") {
  for (const OutputForm form : {OutputForm::gzip, OutputForm::zstd}) {
    auto compressor = Compressor::of(form);
    std::string packed;
    REQUIRE((*compressor)->add("", true, packed));
    CHECK(!packed.empty());
    CHECK(unpacked(packed, form).empty());
  }
  CHECK(*Compressor::of(OutputForm::lines) == nullptr);
}

TEST_CASE("A gzip header holds no time and no name") {
  auto compressor = Compressor::of(OutputForm::gzip);
  std::string packed;
  REQUIRE((*compressor)->add("text", true, packed));
  CHECK(packed.substr(0, 8) == std::string("\x1f\x8b\x08\0\0\0\0\0", 8));
}

TEST_CASE("A compressed result holds the lines of a plain one, and the digest is of the file") {
  const Disk disk{2'000};
  REQUIRE(run(*disk.open(), task_of(2'000)).failure == "");
  const std::string plain = text_of(disk.output());
  for (const auto& [suffix, form] :
       {std::pair{".gz", OutputForm::gzip}, {".zst", OutputForm::zstd}}) {
    MergeFilesOptions options = disk.options();
    options.output = disk.output() + suffix;
    const MergeStep step = run(*disk.open(options), task_of(2'000));
    REQUIRE(step.failure == "");
    const std::string packed = text_of(options.output);
    CHECK((unpacked(packed, form) == plain));
    CHECK(step.file.bytes == packed.size());
    CHECK(step.file.lines == 2'000);
    CHECK(step.file.sha256 == sha256_of(packed));
    CHECK(fs::exists(options.output + ".summary.json"));
  }
}

TEST_CASE("An array stands beside the names of its rows, and replaces older ones") {
  Disk disk{100};
  disk.embed();
  MergeFilesOptions options = disk.options();
  options.output = disk.root + "/out/v.npy";
  std::ofstream{disk.root + "/out/v.ids.jsonl"} << "older";
  MergeTask task = task_of(100);
  task.spec.shape.task = Task::embed;
  task.spec.output = options.output;
  const MergeStep step = run(*disk.open(options), task);
  REQUIRE(step.failure == "");
  CHECK(disk.names("out") ==
        std::vector<std::string>{"v.ids.jsonl", "v.npy", "v.npy.summary.json"});
  CHECK(step.file.ids == disk.root + "/out/v.ids.jsonl");
  const std::string array = text_of(options.output);
  CHECK(array.size() == 128 + 100 * 3 * 4);
  CHECK(step.file.sha256 == sha256_of(array));
  CHECK(std::ranges::count(text_of(step.file.ids), '\n') == 100);
  const auto summary = nlohmann::json::parse(step.summary);
  CHECK(summary["output"]["ids"] == step.file.ids);
}

TEST_CASE("A stream is no file; its summary is with the job") {
  const Disk disk{100};
  MergeFilesOptions options = disk.options();
  options.output = "-";
  MergeTask task = task_of(100);
  task.spec.output = "-";
  const MergeStep step = run(*disk.open(options), task);
  REQUIRE(step.failure == "");
  CHECK(disk.names("out").empty());
  CHECK_FALSE(fs::exists("-"));
  CHECK(text_of(disk.root + "/job/summary.json") == step.summary);
  const auto output = nlohmann::json::parse(step.summary)["output"];
  CHECK(output["path"] == "-");
  CHECK(output["lines"] == 100);
  CHECK(output["sha256"].is_null());
}

TEST_CASE("A probe tells what creating would, and leaves nothing") {
  const Disk disk{1, 1};
  CHECK(PartFile::probe(disk.output()));
  CHECK(disk.names("out").empty());
  std::ofstream{disk.output() + ".part"} << "somebody's";
  CHECK(PartFile::probe(disk.output()));
  CHECK(text_of(disk.output() + ".part") == "somebody's");
  CHECK(PartFile::probe(disk.root + "/nowhere/x").error().message ==
        fmt::format("create {0}/nowhere/x.part: No such file or directory: expected {0}/nowhere to "
                    "be a directory that can be written; make it so, or name another output",
                    disk.root));
  CHECK(PartFile::probe(disk.root + "/out").error().code == ErrorCode::usage);
  CHECK(PartFile::probe("/dev/null").error().code == ErrorCode::usage);
  CHECK_FALSE(PartFile::probe("/proc/x"));
}

} // namespace output_form_test
