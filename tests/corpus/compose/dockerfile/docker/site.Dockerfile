FROM node:22 AS dev
WORKDIR /site
CMD npm run dev
FROM nginx
COPY --from=dev /site/dist /usr/share/nginx/html
