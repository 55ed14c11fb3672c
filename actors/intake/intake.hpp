// INTAKE turns a job's inputs into items, one after the other, each with its ordinal, its id and
// the place where it can be read again. By suffix and content an input is a file of OpenAI Batch
// lines, of JSON objects, a table with a header, or one text document. What cannot become a call,
// because it is malformed, lacks a field of the job's template or has no text in it, is an item
// too, with the sentence that says why. Ids are unique in their input, in an open job in all of
// them: of two equal ones the later is such an item. What the job leaves out (PREPARATION) is no
// item: it has no ordinal, and its id may come again. Invariant: the same inputs give the same
// items, so an ordinal means the same after a restart.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "actors/intake/csv_table.hpp"
#include "actors/intake/input_format.hpp"
#include "actors/intake/preparation.hpp"
#include "actors/intake/record_reader.hpp"
#include "actors/intake/seen_ids.hpp"
#include "actors/intake/text_lines.hpp"
#include "actors/words/input_position.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/template/item_check.hpp"

#include <list>
#include <memory>
#include <optional>
#include <string>

namespace gristmill::intake {

// Where an item stands in the input, to read it again.
struct ItemPlace {
  std::uint32_t input = 0;
  std::uint64_t offset = 0, bytes = 0, line = 0; // line from 1; 0 = the whole file
  ItemKind kind = ItemKind::batch_line;
  bool is_verbatim = false; // the item's text is these bytes, nothing else
  Preprocessed before{};    // of the records before it
};

struct Item {
  std::uint64_t ordinal = 0;
  ItemPlace place;
  std::string id;  // custom_id, or the document's id
  std::string raw; // empty when bad
  std::string bad; // why it cannot become a call, without its place; empty = good
};

// What came of one record, or of a document.
struct Read {
  std::optional<Item> item; // nothing: the job leaves it out, or there is no more
  bool at_end = false;      // of the last input, or at the job's limit
};

class Intake {
public:
  enum class Ids : bool { as_they_are, unique };

  // `spec` and `source` must outlive it. Reading begins at `from`. To know the ids before it, the
  // records before it are read first; whoever wants items without that takes ids as they are.
  Intake(const JobSpec& spec, ByteSource& source, InputPosition from, Ids ids = Ids::unique);

  // Reads at most so many of the records before `from`; true when none is left. next() does the
  // same without a bound.
  Result<bool> catch_up(std::size_t records_max);
  // The next record. An error is a failure to read, not a bad line; here, above and below, whoever
  // asks again gets what comes after the last one all the same.
  Result<Read> read();
  // The next item, however many records are left out before it; nothing at the end.
  Result<std::optional<Item>> next();
  // Where the record after the last one read begins.
  InputPosition position() const { return at_; }

  // Whether an item with this id was read in the input that is open. Only of records: a document's
  // id is not remembered, and at the end of an input its ids are forgotten.
  bool has_read(const std::string& id);
  bool reads_records() const { return records_ != nullptr; }

  Result<std::string> read_again(const ItemPlace& place);
  std::string source_of(const ItemPlace& place); // "FILE:LINE", or "FILE" for a document
  // The fields of --keep as a JSON object; nothing for a document, or if there are none to keep.
  std::string kept_of(const ItemPlace& place);

private:
  struct Identity {
    std::string id;     // empty = none was given
    std::string bad;    // why the record cannot become a call
    bool blank = false; // … which is that it is a document without text
  };
  // A record as far as it says itself what it is.
  struct Prepared {
    Preparation::Text text;
    Identity identity;
    Preparation::Fate fate = Preparation::Fate::item;
  };
  struct Header {
    std::uint32_t input = 0;
    CsvHeader header;
  };

  Result<bool> open_input(); // false: no more inputs
  Result<bool> catch_up_further(std::size_t records_max);
  Result<bool> catch_up_with_inputs(std::size_t records_max);
  Result<Read> read_next();
  void begin_again();
  Result<> open_records();
  // False: the input is at its end.
  Result<bool> next_record(Read& read);
  Result<bool> next_document(Read& read);
  void take(Read& read, Item item, Preparation::Fate fate, const Preparation::Text& text);
  Prepared prepare(const Record& record) const;
  Preparation::Text text_of(const Record& record) const;
  Identity identify(const Record& record, std::string_view text) const;
  Identity identify_line(std::string_view line) const;
  Identity identify_object(std::string_view object) const;
  Result<std::uint64_t> first_line_of(const std::string& id, std::uint64_t line);
  Result<Item> item_of(const Record& record, Prepared& prepared);
  std::string_view id_field_of(ItemKind kind) const;
  Result<std::string> read_document(Item& item);
  openai::ItemCheck::Fault fault_of_document(std::string_view text) const;
  Result<std::string> object_again(const ItemPlace& place, std::string raw);
  Result<std::string> read_bytes(const ItemPlace& place);
  TextLinesOptions text_lines() const;
  Result<const CsvHeader*> header_of(std::uint32_t input);

  const JobSpec& spec_;
  const openai::ItemCheck check_;
  const Preparation preparation_;
  ByteSource& source_;
  InputPosition at_;
  std::optional<SeenIds> seen_; // nothing: ids are taken as they are
  InputFormat format_;
  std::string name_; // of the input that is open
  std::unique_ptr<RecordReader> records_;
  std::optional<Record> ahead_; // the first record that is not before `from`
  std::list<Header> headers_;   // of the tables read last, the newest first
  // Of an open job: reads what is before `from` in all of its inputs, whose ids it must know.
  std::unique_ptr<Intake> earlier_;
  bool open_ = false, caught_up_ = true;
};

} // namespace gristmill::intake
