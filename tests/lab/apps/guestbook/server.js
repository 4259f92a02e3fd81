const { readFileSync } = require('fs')
const express = require('express')
const { createClient } = require('redis')

const app = express()
const store = createClient({ url: process.env.REDIS_URL })
store.on('error', (error) => console.error('redis:', error.message))

app.use(express.urlencoded({ extended: false }))
app.get('/health', async (_, answer) => answer.send(await store.ping()))
app.get('/', async (_, answer) => {
  const names = await store.lRange('guests', 0, Number(process.env.PAGE_SIZE) - 1)
  answer.send(`<h1>${process.env.TITLE}</h1><ul>${names.map((name) => `<li>${name}</li>`).join('')}</ul>`)
})
app.get('/rules', (_, answer) => answer.send(readFileSync('/app/rules.txt', 'utf8')))
app.post('/', async (request, answer) => {
  await store.lPush('guests', request.body.name)
  answer.redirect(303, '/')
})

store.connect().then(() => {
  const server = app.listen(3000, () => console.log('listening', process.env.NODE_ENV))
  process.on('SIGTERM', () => server.close(() => process.exit(0)))
})
