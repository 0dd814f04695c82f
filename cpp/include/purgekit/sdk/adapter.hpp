/// \file adapter.hpp
/// Turns an sdk::Backend class into the C table: checks arguments, converts, lets no exception out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "purgekit/abi.h"
#include "purgekit/sdk/connection.hpp"
#include "purgekit/sdk/marshal.hpp"

/// The SDK's concrete form of the opaque handle: the author's object and what was last handed out.
struct pk_connection {
  std::unique_ptr<purgekit::sdk::Connection> impl;
  purgekit::sdk::Outbox out;
};

namespace purgekit::sdk {

/// Run `body`, turning whatever it throws into a code and a filled error.
template <class Body>
std::int32_t guarded(pk_error* error, const Body& body) noexcept {
  try {
    body();
    return PK_OK;
  } catch (const Error& e) {
    return e.to_c(error);
  } catch (const std::bad_alloc&) {
    return Error(PK_SERVER_RESOURCES, "out of memory").to_c(error);
  } catch (const std::exception& e) {
    return Error(PK_INTERNAL, e.what()).to_c(error);
  } catch (...) {
    return Error(PK_INTERNAL, "the backend threw something that is no std::exception").to_c(error);
  }
}

/// Fill `out` with verbs that forward to the connections `backend` opens. `backend` must outlive the table.
inline void fill_verbs(pk_backend& out, Backend& backend) {
  using C = pk_connection;
  out.self = &backend;
  out.open = [](void* self, C** made, pk_error* e) -> std::int32_t {
    return guarded(e, [&] {
      auto handle = std::make_unique<C>();
      handle->impl = static_cast<Backend*>(self)->open();
      *made = handle.release();
    });
  };
  out.connect = [](C* c, const pk_connect* p, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->connect(from_c(*p)); }); };
  out.close = [](C* c) { delete c; };
  out.cancel = [](C* c) { c->impl->cancel(); };
  out.inspect = [](C* c, pk_server* r, pk_error* e) -> std::int32_t { return guarded(e, [&] { *r = c->out.put(c->impl->inspect()); }); };
  out.describe = [](C* c, const pk_table_name* n, pk_table* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->describe(from_c(*n))); });
  };
  out.tables = [](C* c, const pk_table_name* n, pk_texts* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->tables(from_c(*n))); });
  };
  out.count = [](C* c, const pk_purge* p, std::int64_t* r, pk_error* e) -> std::int32_t { return guarded(e, [&] { *r = c->impl->count(from_c(*p)); }); };
  out.estimate = [](C* c, const pk_purge* p, std::int64_t* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->impl->estimate(from_c(*p)); });
  };
  out.sample_key = [](C* c, const pk_purge* p, pk_text* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->sample_key(from_c(*p))); });
  };
  out.sample_column = [](C* c, const pk_purge* p, pk_text column, pk_samples* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->sample_column(from_c(*p), to_string(column))); });
  };
  out.propose = [](C* c, const pk_purge* p, std::int64_t total, std::int64_t matching, pk_walks* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->propose(from_c(*p), total, matching)); });
  };
  out.prepare = [](C* c, const pk_purge* p, pk_texts* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->prepare(from_c(*p))); });
  };
  out.lock_run = [](C* c, pk_text key, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->lock_run(to_string(key)); }); };
  out.unlock_run = [](C* c, pk_text key, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->unlock_run(to_string(key)); }); };
  out.ledger_find = [](C* c, const pk_table_name* n, pk_ledger* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->ledger_find(from_c(*n))); });
  };
  out.ledger_create = [](C* c, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->ledger_create(); }); };
  out.slot_lock = [](C* c, pk_text key, std::uint32_t wait_ms, pk_slot* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->slot_lock(to_string(key), wait_ms)); });
  };
  out.slot_write = [](C* c, const pk_slot* s, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->slot_write(from_c(*s)); }); };
  out.run_write = [](C* c, const pk_run* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { c->impl->run_write(RunRecord{to_string(r->id), to_string(r->document)}); });
  };
  out.run_list = [](C* c, pk_runs* r, pk_error* e) -> std::int32_t { return guarded(e, [&] { *r = c->out.put(c->impl->run_list()); }); };
  out.begin = [](C* c, pk_text key, std::int64_t epoch, std::int64_t seq, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { c->impl->begin(to_string(key), epoch, seq); });
  };
  out.delete_range = [](C* c, const pk_range* p, pk_deleted* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->delete_range(from_c(*p))); });
  };
  out.delete_children = [](C* c, std::size_t index, std::int64_t* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->impl->delete_children(index); });
  };
  out.checkpoint = [](C* c, const pk_slot* s, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->checkpoint(from_c(*s)); }); };
  out.commit = [](C* c, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->commit(); }); };
  out.rollback = [](C* c, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->rollback(); }); };
  out.replica_lag = [](C* c, double* r, pk_error* e) -> std::int32_t { return guarded(e, [&] { *r = c->impl->replica_lag(); }); };
  out.archive_find = [](C* c, const pk_purge* p, pk_archive_infos* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->archive_find(from_c(*p))); });
  };
  out.archive_create = [](C* c, const pk_purge* p, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->archive_create(from_c(*p)); }); };
  out.fence = [](C* c, pk_text key, std::int64_t epoch, std::int64_t seq, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { c->impl->fence(to_string(key), epoch, seq); });
  };
  out.split = [](C* c, std::size_t parts, pk_texts* r, pk_error* e) -> std::int32_t { return guarded(e, [&] { *r = c->out.put(c->impl->split(parts)); }); };
  out.pressure = [](C* c, pk_signals* r, pk_error* e) -> std::int32_t { return guarded(e, [&] { *r = c->out.put(c->impl->pressure()); }); };
  out.space = [](C* c, const pk_purge* p, pk_space* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->space(from_c(*p))); });
  };
  out.reclaim = [](C* c, const pk_purge* p, std::uint32_t care, std::uint8_t* done, pk_error* e) -> std::int32_t {
    return guarded(e, [&] {
      if (care != PK_CARE_STATISTICS && care != PK_CARE_SPACE) throw Error(PK_INVALID_ARGUMENT, "unknown care");
      *done = c->impl->reclaim(from_c(*p), static_cast<pk_care>(care)) ? 1 : 0;
    });
  };
  out.log_bytes = [](C* c, std::int64_t* r, pk_error* e) -> std::int32_t { return guarded(e, [&] { *r = c->impl->log_bytes(); }); };
  out.moves = [](C* c, const pk_purge* p, std::int64_t total, std::int64_t matching, pk_moves* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->moves(from_c(*p), total, matching)); });
  };
  out.measure = [](C* c, pk_text sql, std::uint32_t timeout_ms, pk_measure* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = to_c(c->impl->measure(to_string(sql), timeout_ms)); });
  };
  out.own_lag = [](C* c, double* r, pk_error* e) -> std::int32_t { return guarded(e, [&] { *r = c->impl->own_lag(); }); };
  out.note_write = [](C* c, pk_text kind, const pk_run* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { c->impl->note_write(to_string(kind), RunRecord{to_string(r->id), to_string(r->document)}); });
  };
  out.note_delete = [](C* c, pk_text kind, pk_text id, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { c->impl->note_delete(to_string(kind), to_string(id)); });
  };
  out.note_list = [](C* c, pk_text kind, pk_runs* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->note_list(to_string(kind))); });
  };
  out.note_add = [](C* c, pk_text kind, const pk_run* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { c->impl->note_add(to_string(kind), RunRecord{to_string(r->id), to_string(r->document)}); });
  };
  out.note_page = [](C* c, pk_text kind, pk_text prefix, pk_text after, std::size_t most, pk_runs* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->note_page(to_string(kind), to_string(prefix), to_string(after), most)); });
  };
  out.sample_rows = [](C* c, const pk_purge* p, std::size_t most, pk_samples* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = c->out.put(c->impl->sample_rows(from_c(*p), most)); });
  };
  out.restore_next = [](C* c, const pk_restore* p, std::int64_t after, pk_restored* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] { *r = to_c(c->impl->restore_next(from_c(*p), after)); });
  };
  out.archive_make = [](C* c, const pk_load* p, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->archive_make(from_c(*p)); }); };
  out.archive_load = [](C* c, const pk_load* p, pk_error* e) -> std::int32_t { return guarded(e, [&] { c->impl->archive_load(from_c(*p)); }); };
  out.slot_share = [](C* c, pk_text key, pk_shared_slot* r, pk_error* e) -> std::int32_t {
    return guarded(e, [&] {
      const SharedSlot shared = c->impl->slot_share(to_string(key));
      *r = {shared.epoch, shared.clock_utc_ns};
    });
  };
}

/// What PURGEKIT_DEFINE_BACKEND's entry symbol does.
template <class B>
std::int32_t init_backend(std::uint32_t host_abi, pk_backend* out, pk_error* error) noexcept {
  return guarded(error, [&] {
    if (out == nullptr) throw Error(PK_INVALID_ARGUMENT, "no table to fill");
    if (host_abi != PURGEKIT_ABI_VERSION) {
      throw Error(PK_NOT_SUPPORTED, std::string(B::name) + " was built for plugin ABI " + abi_text(PURGEKIT_ABI_VERSION) + ", the host has " + abi_text(host_abi));
    }
    if (out->struct_size < sizeof(pk_backend)) throw Error(PK_NOT_SUPPORTED, "the host's table is too short");
    static B backend;
    out->struct_size = sizeof(pk_backend);
    out->abi = PURGEKIT_ABI_VERSION;
    out->name = B::name;
    out->version = B::version;
    out->schemes = B::schemes;
    out->maturity = B::maturity;
    fill_verbs(*out, backend);
  });
}

}  // namespace purgekit::sdk

/// Put this once, at namespace scope, into a backend's library.
#define PURGEKIT_DEFINE_BACKEND(BackendClass)                                                                             \
  extern "C" PURGEKIT_EXPORT int32_t purgekit_backend_init(uint32_t host_abi, pk_backend* out, pk_error* error) {         \
    return purgekit::sdk::init_backend<BackendClass>(host_abi, out, error);                                               \
  }
