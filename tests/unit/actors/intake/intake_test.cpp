// Inputs as items: what kind they are, what they are called, and how they are read again.
#include "actors/intake/intake.hpp"
#include "protocol/limits.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace intake_test {

using namespace gristmill;
using namespace gristmill::intake;
using namespace gristmill::supervisor_test;

namespace {

struct Input {
  std::string name, text;
};

struct Desk {
  MemorySource source;
  JobSpec spec = spec_of(0);

  explicit Desk(std::vector<Input> inputs) {
    for (Input& input : inputs) {
      spec.inputs.push_back({"/data/" + input.name, input.name});
      source.names.push_back(input.name);
      source.inputs.push_back(std::move(input.text));
    }
  }
  std::vector<Item> items(InputPosition from = {}) {
    Intake intake{spec, source, from};
    std::vector<Item> all;
    for (;;) {
      auto item = intake.next();
      REQUIRE(item);
      if (!*item) return all;
      all.push_back(std::move(**item));
    }
  }
};

bool same(const Item& a, const Item& b) {
  return a.ordinal == b.ordinal && a.id == b.id && a.raw == b.raw && a.bad == b.bad &&
         a.place.offset == b.place.offset && a.place.line == b.place.line &&
         a.place.input == b.place.input && a.place.bytes == b.place.bytes;
}

} // namespace

TEST_CASE("an input's kind follows from its name and its first lines") {
  const auto [name, head, kind] = GENERATE(table<std::string, std::string, ItemKind>({
      {"a.txt", "{\"custom_id\":\"1\"}", ItemKind::text},
      {"A.TXT", "{\"custom_id\":\"1\"}", ItemKind::text},
      {"a.txt.gz", "{\"custom_id\":\"1\"}", ItemKind::text},
      {"a.csv", "{\"custom_id\":\"1\"}", ItemKind::json_object},
      {"a.tsv.zst", "", ItemKind::json_object},
      {"a.jsonl.gz", "{\"custom_id\":\"1\"}", ItemKind::batch_line},
      {"a.jsonl", "\n{\"custom_id\":\"1\"}", ItemKind::batch_line},
      {"a.gz", "Once", ItemKind::text},
      {"a.md", "# Title", ItemKind::text},
      {"a.jsonl", "{\"custom_id\":\"1\",\"body\":{}}", ItemKind::batch_line},
      {"a.jsonl", "{\"method\":\"POST\",\"url\":\"/v1\"}", ItemKind::batch_line},
      {"a.jsonl", "{\"method\":\"POST\"}", ItemKind::json_object},
      {"a.jsonl", "{\"id\":\"batch_req_1_0\",\"custom_id\":\"1\",\"response\":{}}",
       ItemKind::json_object},
      {"a.jsonl", "{\"id\": \"batch_req_a\", \"custom_id\": \"1\"}", ItemKind::json_object},
      {"a.ndjson", "{\"id\":1}\n{\"custom_id\":1}", ItemKind::json_object},
      // What is deeper, or is another's, makes no request.
      {"a.jsonl", R"({"custom_id":"1","text":"hi"})", ItemKind::json_object},
      {"a.jsonl", R"({"custom_id":"1","body":"a letter"})", ItemKind::json_object},
      {"a.jsonl", R"({"id":1,"meta":{"custom_id":"1","body":{}}})", ItemKind::json_object},
      {"a.jsonl", R"({"id":1,"method":"GET","url":"/x","text":"hi"})", ItemKind::json_object},
      {"a.jsonl", R"({"custom_id":"1","response":{"body":{}},"error":null})",
       ItemKind::json_object},
      {"a.jsonl", R"({"text":"\"custom_id\":1, \\","url":"x"})", ItemKind::json_object},
      {"a.jsonl", R"({ "body" : {"url":"x"} , "custom_id" : "1" })", ItemKind::batch_line},
      {"a.jsonl", R"({"custom_id":"1","params":{}})", ItemKind::batch_line},
      // One line that is bad, or says what is in the file.
      {"a.jsonl", "// exported\n{\"custom_id\":\"1\",\"body\":{}}", ItemKind::batch_line},
      {"a.jsonl", "{}\n{\"custom_id\":\"1\",\"url\":\"/v1\"}", ItemKind::batch_line},
      {"a.jsonl", "{\"cust\n{\"custom_id\":\"1\",\"url\":\"/v1\"}", ItemKind::batch_line},
      {"a.jsonl", "{\"version\":1}\n{\"custom_id\":\"1\",\"body\":{}}", ItemKind::batch_line},
      {"a.json", "", ItemKind::json_object},
      {"a", "{\"id\":1}", ItemKind::json_object},
      {"a", "\n  {\"id\":1}", ItemKind::json_object},
      {"a", "\xEF\xBB\xBF{\"id\":1}", ItemKind::json_object},
      {"a", "Once upon a time", ItemKind::text},
      {"a", "", ItemKind::text},
  }));
  CAPTURE(name, head);
  CHECK(format_of(name, head).kind == kind);
}

TEST_CASE("a request whose body comes before its id is one, however long the body is") {
  const std::string line = R"({"body":{"messages":[],"x":")" + std::string(200'000, 'x') +
                           R"("},"custom_id":"a","method":"POST","url":"/v1/chat/completions"})";
  Desk desk{{{"a.jsonl", line + "\n"}}};
  const auto items = desk.items();
  REQUIRE(items.size() == 1);
  CHECK(items[0].place.kind == ItemKind::batch_line);
  CHECK(items[0].id == "a");
}

TEST_CASE("items are numbered over all inputs, blank lines are none") {
  Desk desk{{{"a.jsonl", "{\"id\":\"x\"}\n\n \t\r\n{\"id\":\"y\"}"},
             {"b.txt", "a document"},
             {"empty.jsonl", ""},
             {"c.jsonl", "{\"id\":\"z\"}\n"}}};
  const auto items = desk.items();
  REQUIRE(items.size() == 4);
  const std::vector<std::string> ids{"x", "y", "b.txt", "z"};
  for (std::size_t i = 0; i < items.size(); ++i) {
    CHECK(items[i].ordinal == i);
    CHECK(items[i].id == ids[i]);
    CHECK(items[i].bad.empty());
  }
  CHECK(items[1].place.line == 4);
  CHECK(items[2].raw == "a document");
}

TEST_CASE("a bad line is an item that says why, and keeps an id") {
  Desk desk{{{"a.jsonl", "{\"id\":\"x\"}\nnot json\n[1]\n"},
             {"b.jsonl", "{\"custom_id\":\"y\",\"url\":\"/v1/none\"}\n{\"custom_id\":7}\n"}}};
  const auto items = desk.items();
  REQUIRE(items.size() == 5);
  CHECK(items[0].bad.empty());
  for (std::size_t i = 1; i < items.size(); ++i) {
    CAPTURE(i);
    CHECK_FALSE(items[i].bad.empty());
    CHECK(items[i].raw.empty());
  }
  CHECK(items[2].id == "a.jsonl:3");
  CHECK(items[3].id == "y");
}

TEST_CASE("a bad line keeps its id where that can be read, once") {
  const std::string line =
      R"({"custom_id":"%","method":"POST","url":"/v1/chat/completions","body":{"x":"\ud83d"}})";
  const auto lines = [&](const std::string& id) {
    std::string text = line;
    return text.replace(text.find('%'), 1, id) + "\n";
  };
  Desk desk{
      {{"a.jsonl", lines("a") + lines("b") + lines("a") + "{\"custom_id\":\"c\",\"body\":{}}\n" +
                       "{\"custom_id\":\"d\",\"x\":\"" + std::string(300, 'x') + "\"}\n"},
       {"b.jsonl", "{\"id\":\"x\",\"text\":\"cut\n{\"text\":\"\xff\",\"id\":7}\n"}}};
  desk.spec.limits.line_bytes_max = 200;
  std::vector<std::string> ids;
  for (const Item& item : desk.items()) {
    CHECK_FALSE(item.bad.empty());
    CHECK(item.raw.empty());
    ids.push_back(item.id);
  }
  CHECK(ids == std::vector<std::string>{"a", "b", "a.jsonl:3", "c", "d", "x", "7"});
  // From any of them reading goes on as it would have.
  Intake intake{desk.spec, desk.source, {}};
  for (std::size_t read = 0; read < ids.size(); ++read) {
    CHECK(desk.items(intake.position()).front().id == ids[read]);
    REQUIRE(intake.next());
  }
}

TEST_CASE("advice about a long line can be followed") {
  const auto [limit, bytes, raise] = GENERATE(table<std::uint64_t, std::size_t, bool>({
      {100, 200, true},
      {100, limits::line_bytes_max - 100, true},
      {100, limits::line_bytes_max + 1, false},
      {limits::line_bytes_max, limits::line_bytes_max + 1, false},
  }));
  CAPTURE(limit, bytes);
  Desk desk{{{"a.jsonl", "{\"text\":\"" + std::string(bytes, 'x') + "\"}\n"},
             {"b.csv", "id,text\n1," + std::string(bytes, 'x') + "\n"}}};
  desk.spec.limits.line_bytes_max = limit;
  const auto items = desk.items();
  REQUIRE(items.size() == 2);
  CHECK((items[0].bad.find("raise --max-line-bytes") != std::string::npos) == raise);
  // A record's length is not known before its end.
  if (limit == limits::line_bytes_max)
    CHECK_THAT(items[1].bad, Catch::Contains("split it") && !Catch::Contains("raise"));
}

TEST_CASE("a document without text is bad, or left out where the job says so") {
  const auto [prompt, object, blank] = GENERATE(table<std::string, std::string, bool>({
      {"", R"({"text":""})", true},
      {"", R"({"text":null})", true},
      {"", R"({"text":" \n\u00a0"})", true},
      {"", R"({"text":"\u200b"})", true},
      {"", R"({"text":" x"})", false},
      {"", R"({"text":"\u0078"})", false},
      {"", R"({"text":0})", false},
      {"", R"({"text":false})", false},
      {"", R"({"text":[]})", false},
      {"In {{lang}}: {{text}}", R"({"lang":"German","text":""})", true},
      {"In {{lang}}: {{text}}", R"({"lang":null,"text":"x"})", false},
      {"{{a}} {{b}}", R"({"a":"","b":null})", true},
      {"{{a}} {{b}}", R"({"a":"","b":"x"})", false},
      {"Go on.", R"({"text":""})", false}, // nothing is asked of it
  }));
  CAPTURE(prompt, object);
  const std::string good = R"({"id":"z","text":"x","lang":"x","a":"x","b":"x"})";
  Desk desk{{{"a.jsonl", object + "\n" + good + "\n"}}};
  desk.spec.shape.prompt = prompt;
  const auto items = desk.items();
  REQUIRE(items.size() == 2);
  CHECK(items[0].bad.empty() != blank);
  CHECK(items[0].raw.empty() == blank);
  if (blank)
    CHECK_THAT(items[0].bad, Catch::Contains("with text") && Catch::Contains("--drop-empty"));
  desk.spec.shape.drop_empty = true;
  const auto left = desk.items();
  REQUIRE(left.size() == (blank ? 1 : 2));
  CHECK(left.back().id == "z");
  CHECK(left.back().ordinal == left.size() - 1);
  Intake intake{desk.spec, desk.source, {}};
  while (intake.next().value()) {
  }
  CHECK(intake.position().before.empty == (blank ? 1 : 0));
}

TEST_CASE("rows and text documents without text are bad too, and a missing field is no blank one") {
  Desk desk{{{"a.csv", "id,text\n1,\n2,\" \"\n3,x\n"},
             {"b.txt", ""},
             {"c.txt", "\xEF\xBB\xBF \r\n"},
             {"d.jsonl", "{\"id\":\"d\"}\n"},
             {"e.txt", "x"}}};
  desk.spec.shape.prompt.clear();
  std::vector<bool> blank;
  for (const Item& item : desk.items())
    blank.push_back(item.bad.starts_with("expected a document with text"));
  CHECK(blank == std::vector<bool>{true, true, false, true, true, false, false});
  CHECK_THAT(desk.items()[3].bad, Catch::Contains("an empty file"));
  desk.spec.shape.drop_empty = true;
  std::vector<std::string> ids;
  for (const Item& item : desk.items()) ids.push_back(item.id);
  CHECK(ids == std::vector<std::string>{"3", "d", "e.txt"});
  CHECK(desk.items({1, 0, 0, 1}).size() == 2); // from behind the table
}

TEST_CASE("a line or a document may be as long as the limit and no longer") {
  const auto [limit, good] =
      GENERATE(table<std::uint64_t, bool>({{15, true}, {16, true}, {14, false}}));
  CAPTURE(limit);
  Desk lines{{{"a.jsonl", "{\"id\":\"abcdef\"}\n{\"id\":1}\n"}}}; // 15 bytes
  lines.spec.limits.line_bytes_max = limit;
  const auto items = lines.items();
  REQUIRE(items.size() == 2);
  CHECK(items[0].bad.empty() == good);
  CHECK(items[1].bad.empty());
  Desk document{{{"a.txt", std::string(15, 'x')}}};
  document.spec.limits.line_bytes_max = limit;
  REQUIRE(document.items().size() == 1);
  CHECK(document.items()[0].bad.empty() == good);
}

TEST_CASE("a document with NUL bytes is none") {
  Desk desk{{{"a.txt", std::string("a\0b", 3)}}};
  REQUIRE(desk.items().size() == 1);
  CHECK_FALSE(desk.items()[0].bad.empty());
}

TEST_CASE("a job's limit ends reading") {
  Desk desk{{{"a.jsonl", good_lines(5)}}};
  desk.spec.limits.items = GENERATE(1, 4, 5, 6);
  CHECK(desk.items().size() == std::min<std::size_t>(desk.spec.limits.items, 5));
}

TEST_CASE("the byte order mark of an input is no part of its first line") {
  Desk desk{{{"a.jsonl", "\xEF\xBB\xBF" + good_lines(2)}}};
  const auto items = desk.items();
  REQUIRE(items.size() == 2);
  CHECK(items[0].bad.empty());
  CHECK(items[0].id == "doc-0");
  CHECK(items[0].place.offset == 3);
}

TEST_CASE("every item can be read again at its place") {
  Desk desk{{{"a.jsonl", "\xEF\xBB\xBF{\"id\":\"x\"}\r\n\n{\"id\":\"y\"}"},
             {"b.txt", "a document\r\n"},
             {"c.txt", ""}}};
  desk.source.read_max = GENERATE(2, 1'000'000);
  Intake intake{desk.spec, desk.source, {}};
  for (const Item& item : desk.items()) {
    const auto raw = intake.read_again(item.place);
    REQUIRE(raw);
    CHECK(*raw == item.raw);
  }
}

TEST_CASE("an input that became shorter is an error when it is read again") {
  Desk desk{{{"a.jsonl", good_lines(2)}}};
  const auto items = desk.items();
  desk.source.inputs[0].resize(items[1].place.offset + 3);
  Intake intake{desk.spec, desk.source, {}};
  CHECK(intake.read_again(items[0].place));
  const auto cut = intake.read_again(items[1].place);
  REQUIRE_FALSE(cut);
  CHECK(cut.error().code == ErrorCode::bad_input);
}

TEST_CASE("reading that begins at any position gives the items that follow it") {
  Desk desk{{{"a.jsonl", "\xEF\xBB\xBF" + good_lines(2) + "\n\nbad\n" + good_line(3)},
             {"b.txt", "a document"},
             {"empty.txt", ""},
             {"none.jsonl", "\n\n"},
             {"c.jsonl", "{\"id\":\"z\"}"}}};
  const auto whole = desk.items();
  REQUIRE(whole.size() == 7);
  Intake intake{desk.spec, desk.source, {}};
  for (std::size_t read = 0; read <= whole.size(); ++read) {
    const auto rest = desk.items(intake.position());
    REQUIRE(rest.size() == whole.size() - read);
    for (std::size_t i = 0; i < rest.size(); ++i) REQUIRE(same(rest[i], whole[read + i]));
    REQUIRE(intake.next());
  }
}

TEST_CASE("a file that only has the name of lines is one item that says so") {
  const auto [head, binary] = GENERATE(table<std::string, bool>({
      {std::string("\x7f"
                   "ELF\0\0\n{\n\0",
                   10),
       true},
      {std::string("{\"id\":\"a\0b\"}\n", 12), false},
      {std::string("{}\nbad\0\n", 8), false},
      {std::string("{}\nbad\0\nbad\n", 12), true},
      {"\xFF\xFE{", true},
      {"not json\n", false},
  }));
  CAPTURE(head);
  Desk desk{{{"a.jsonl", head}, {"b.jsonl", "{\"id\":\"z\"}\n"}}};
  const auto items = desk.items();
  REQUIRE(items.size() >= 2);
  CHECK((items[0].place.line == 0) == binary);
  CHECK((items[0].id == "a.jsonl") == binary);
  CHECK((items.size() == 2 && !items[0].bad.empty()) >= binary);
  CHECK(items.back().id == "z");
  // A restart behind it does not find it again.
  if (binary) CHECK(desk.items({0, 1, 1, 1}).size() == 1);
}

TEST_CASE("an object without a field of the template is bad, and says which fields there are") {
  const auto [prompt, system, object, fault] =
      GENERATE(table<std::string, std::string, std::string, std::string>({
          {"{{a}} {{b}}", "", R"({"a":1,"b":null})", ""},
          {"{{a}} {{b}}", "", R"({"b":1})",
           R"(the field "a", which the template names, got only the field "b")"},
          {"{{b}} {{a}}", "", "{}", R"(the field "b", which the template names, got no field)"},
          {"{{a}}", "{{s}}", R"({"a":1,"x":2})",
           R"(the field "s", which the template names, got the fields "a", "x")"},
          {"{{a}}", "", R"({"\u0061":1})", ""},
          {"", "", R"({"text":"x"})", ""},
          {"", "", R"({"body":"x"})",
           R"(the field "text", which the template names, got only the field "body")"},
          {"no field", "", R"({"body":"x"})", ""},
      }));
  CAPTURE(prompt, system, object);
  Desk desk{{{"a.jsonl", "{\"a\":1,\"b\":1,\"s\":1,\"text\":1}\n" + object + "\n"}}};
  desk.spec.shape.prompt = prompt;
  desk.spec.shape.system = system;
  const auto items = desk.items();
  REQUIRE(items.size() == 2);
  CHECK(items[0].bad.empty());
  if (fault.empty()) CHECK(items[1].bad.empty());
  CHECK_THAT(items[1].bad, Catch::Contains(fault));
  CHECK(items[1].raw.empty() == !fault.empty());
}

TEST_CASE("of an object's fields at most ten are named, each with its first bytes") {
  const std::size_t fields = GENERATE(9, 10, 11);
  std::string object = "{\"" + std::string(100, 'n') + "\":0";
  for (std::size_t i = 1; i < fields; ++i) object += fmt::format(",\"f{}\":0", i);
  Desk desk{{{"a.jsonl", object + "}\n"}}};
  desk.spec.shape.prompt = "{{missing}}";
  const std::string bad = desk.items().at(0).bad;
  CHECK((bad.find("and 1 more") != bad.npos) == (fields == 11));
  CHECK((bad.find("\"f9\"") != bad.npos) == (fields == 10 || fields == 11));
  CHECK(bad.size() < 250);
}

TEST_CASE("rows and text documents are checked against the template too") {
  Desk desk{{{"a.csv", "id,title\n1,x\n"}, {"b.txt", "a document"}}};
  desk.spec.shape.prompt = "{{title}}";
  auto items = desk.items();
  REQUIRE(items.size() == 2);
  CHECK(items[0].bad.empty());
  CHECK_THAT(items[1].bad, Catch::Contains("no fields, got {{title}}"));
  desk.spec.shape.prompt = "{{text}}";
  items = desk.items();
  CHECK_THAT(items[0].bad, Catch::Contains("got the fields \"id\", \"title\""));
  CHECK(items[1].bad.empty());
  desk.spec.shape.text_field = "title";
  CHECK(desk.items()[0].bad.empty());
}

TEST_CASE("a batch line that is none of the task's is bad where it is read") {
  const auto [task, url, good] = GENERATE(table<Task, std::string, bool>({
      {Task::chat, "/v1/embeddings", true},
      {Task::embed, "/v1/embeddings", true},
      {Task::embed, "/v1/chat/completions", false},
      {Task::classify, "/v1/chat/completions", false},
  }));
  CAPTURE(name_of(task), url);
  Desk desk{{{"a.jsonl",
              R"({"custom_id":"a","method":"POST","url":")" + url + R"(","body":{"model":"m"}})"}}};
  desk.spec.shape.task = task;
  CHECK(desk.items().at(0).bad.empty() == good);
}

} // namespace intake_test
